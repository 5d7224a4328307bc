package runner

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// digestLength is the length of what digestTree returns.
const digestLength = 2 * sha256.Size

// Bounds of a tree that is compared: a stream without an end is an error.
const (
	maxTreeEntries = 100_000
	maxTreeBytes   = 4 << 30
)

// digestTree returns a digest of the tree in a tar stream: of names below the first folder, kinds, modes, owners, links and contents, but not
// of times and of the order in which they come. The file at the root with the name of except is left out.
func digestTree(stream io.Reader, except string) (string, error) {
	archive := tar.NewReader(stream)
	var lines []string
	left := int64(maxTreeBytes)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if left -= h.Size; left < 0 || len(lines) == maxTreeEntries {
			return "", errors.New("the tree is too large to be an agent's files")
		}
		content := sha256.New()
		if _, err := io.CopyN(content, archive, h.Size); err != nil {
			return "", err
		}
		_, name, _ := strings.Cut(path.Clean(h.Name), "/")
		if name == except {
			continue
		}
		link := h.Linkname
		if h.Typeflag == tar.TypeLink {
			_, link, _ = strings.Cut(path.Clean(link), "/")
		}
		lines = append(lines, fmt.Sprintf("%q %c %o %d:%d %q %x", name, h.Typeflag, h.Mode, h.Uid, h.Gid, link, content.Sum(nil)))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:]), nil
}
