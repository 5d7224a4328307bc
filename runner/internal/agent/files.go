package agent

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Files is what the agent's container is given before it starts.
type Files struct {
	// Entrypoint is the static binary for the container's platform; exactly EntrypointSize bytes of it are read.
	Entrypoint     io.Reader
	EntrypointSize int64
	// Prompt is any bytes; exactly PromptSize of it are read. Nil is an empty prompt.
	Prompt     io.Reader
	PromptSize int64
	// Config says whose the home folder is, too.
	Config wire.AgentConfig
	// Extra are further files, by path: the agent's below [Home], root's below [wire.Dir].
	Extra map[string]string
	// CA is a bundle of certificates in PEM, put at [wire.CAPath]; nil for none.
	CA []byte
	// ModTime is the time of all entries.
	ModTime time.Time
}

// gitConfig lets git work in a tree of any owner and commit without being asked who it is. The identity cannot be anybody's (RFC 2606).
const gitConfig = `[user]
	name = yolo-run agent
	email = agent@yolo-run.invalid
[safe]
	directory = *
[init]
	defaultBranch = main
`

// WriteFiles writes the entries to an archive that is to be extracted at / of the created container. It does not close tw: the caller
// adds the workspace's.
//
// Every folder on the way to a file has an entry of its own, because extracting replaces a symlink where the archive has a folder or
// file of that name and follows it where the archive is silent: an image whose /etc or /home points into a mount would else have us write
// there, as root. The engine does so only where it was allowed to let folders replace files, and keeps these owners only where it was not
// asked for copyUIDGID, which gives everything to the container's user.
func WriteFiles(tw *tar.Writer, f Files) error {
	config, err := json.Marshal(f.Config)
	if err != nil {
		return fmt.Errorf("agent configuration: %w", err)
	}
	uid, gid := f.Config.UID, f.Config.GID
	if uid <= 0 || gid <= 0 {
		return fmt.Errorf("agent's user %d:%d: root owns nothing that is the agent's", uid, gid)
	}
	w := &archive{tw: tw, at: f.ModTime}
	w.folder(wire.Dir, 0o755, 0, 0)
	w.file(wire.EntrypointPath, 0o755, 0, 0, f.Entrypoint, f.EntrypointSize)
	w.text(wire.AgentPath, 0o444, 0, 0, config)
	w.file(wire.PromptPath, 0o444, 0, 0, f.Prompt, f.PromptSize)
	w.folder(wire.OutDir, 0o700, uid, gid)
	if f.CA != nil {
		w.text(wire.CAPath, 0o444, 0, 0, f.CA)
	}
	w.folder("/etc", 0o755, 0, 0)
	w.text("/etc/passwd", 0o644, 0, 0, passwd(uid, gid))
	w.text("/etc/group", 0o644, 0, 0, group(gid))
	w.folder("/home", 0o755, 0, 0)
	w.folder(Home, 0o700, uid, gid)
	w.text(Home+"/.gitconfig", 0o644, uid, gid, []byte(gitConfig))
	w.extra(f.Extra, uid, gid)
	w.folder("/tmp", 0o1777, 0, 0)
	return w.err
}

// passwd names the agent before nobody: the first line with a UID is its name, and the agent's may be 65534.
func passwd(uid, gid int) []byte {
	return fmt.Appendf(nil, "root:x:0:0:root:/root:/bin/sh\n%s:x:%d:%d:yolo-run agent:%s:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		User, uid, gid, Home)
}

func group(gid int) []byte {
	return fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", User, gid)
}

// archive writes entries until the first error.
type archive struct {
	tw  *tar.Writer
	at  time.Time
	err error
}

func (a *archive) folder(file string, mode int64, uid, gid int) {
	a.header(&tar.Header{Typeflag: tar.TypeDir, Name: name(file) + "/", Mode: mode, Uid: uid, Gid: gid})
}

// extra writes the files of [Files.Extra], and an entry for each folder of the agent's on the way.
func (a *archive) extra(files map[string]string, uid, gid int) {
	made := map[string]bool{Home: true}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		switch {
		case a.err != nil:
			return
		case path.Dir(file) == wire.Dir && path.Clean(file) == file:
			a.text(file, 0o444, 0, 0, []byte(files[file]))
		case strings.HasPrefix(file, Home+"/") && path.Clean(file) == file:
			a.foldersTo(file, made, uid, gid)
			a.text(file, 0o600, uid, gid, []byte(files[file]))
		default:
			a.err = fmt.Errorf("%q belongs to nobody: neither to %s nor to %s", file, Home, wire.Dir)
		}
	}
}

func (a *archive) foldersTo(file string, made map[string]bool, uid, gid int) {
	for i := len(Home) + 1; i < len(file); i++ {
		if folder := file[:i]; file[i] == '/' && !made[folder] {
			made[folder] = true
			a.folder(folder, 0o700, uid, gid)
		}
	}
}

func (a *archive) text(file string, mode int64, uid, gid int, text []byte) {
	a.file(file, mode, uid, gid, bytes.NewReader(text), int64(len(text)))
}

// file writes exactly size bytes of r; fewer are an error, because the container would have a cut file.
func (a *archive) file(path string, mode int64, uid, gid int, r io.Reader, size int64) {
	a.header(&tar.Header{Typeflag: tar.TypeReg, Name: name(path), Mode: mode, Uid: uid, Gid: gid, Size: size})
	if a.err != nil || size == 0 {
		return
	}
	if r == nil {
		a.err = fmt.Errorf("%s: nothing to read %d bytes from", path, size)
		return
	}
	n, err := io.CopyN(a.tw, r, size)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		a.err = fmt.Errorf("%s: %w", path, err)
	}
}

func (a *archive) header(h *tar.Header) {
	if a.err != nil {
		return
	}
	h.ModTime = a.at
	if err := a.tw.WriteHeader(h); err != nil {
		a.err = fmt.Errorf("/%s: %w", h.Name, err)
	}
}

// name makes a path relative to the archive's root.
func name(path string) string { return strings.TrimPrefix(path, "/") }
