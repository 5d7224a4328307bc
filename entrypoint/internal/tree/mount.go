package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// CheckLayers reports how the mount at dir differs from a read-only view of an overlay of exactly these layers, without the
// options that would make a comparison wrong.
func CheckLayers(dir string, want wire.Layers) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	defer f.Close()
	return checkLayers(f, dir, want)
}

func checkLayers(mountinfo io.Reader, dir string, want wire.Layers) error {
	m, err := findMount(mountinfo, dir)
	switch {
	case err != nil:
		return err
	case m.fsType != "overlay":
		return fmt.Errorf("%s is %q, not an overlay", dir, m.fsType)
	case !slices.Contains(m.options, "ro"):
		return fmt.Errorf("%s is not mounted read-only", dir)
	case m.root != "/":
		return fmt.Errorf("%s is a part of an overlay", dir)
	}
	// Options at their defaults are not shown. A second lower layer would be part of the value.
	for key, value := range map[string]string{"lowerdir": want.Lower, "upperdir": want.Upper, "workdir": want.Work} {
		if got := m.super[key]; !slices.Equal(got, []string{value}) {
			return fmt.Errorf("overlay at %s has %s %q, not %q", dir, key, got, value)
		}
	}
	for _, option := range []string{"userxattr", "metacopy=on", "index=on", "redirect_dir=off", "redirect_dir=nofollow", "redirect_dir=follow"} {
		key, value, _ := strings.Cut(option, "=")
		if slices.Contains(m.super[key], value) {
			return fmt.Errorf("overlay at %s is mounted with %s", dir, option)
		}
	}
	return nil
}

// mountLine is one line of mountinfo (proc(5)).
type mountLine struct {
	root, target, fsType string
	options              []string            // of this mount
	super                map[string][]string // of the file system
}

// findMount returns the last mount at dir, which hides those before it.
func findMount(mountinfo io.Reader, dir string) (mountLine, error) {
	var found mountLine
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok && m.target == dir {
			found = m
		}
	}
	if err := lines.Err(); err != nil {
		return found, fmt.Errorf("read mounts: %w", err)
	}
	if found.target == "" {
		return found, fmt.Errorf("find mount %s: %w", dir, errNoMount)
	}
	return found, nil
}

var errNoMount = errors.New("nothing is mounted there")

func parseMount(line string) (mountLine, bool) {
	fields := strings.Fields(line)
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+4 {
		return mountLine{}, false
	}
	m := mountLine{
		root: unescape(fields[3]), target: unescape(fields[4]), options: strings.Split(fields[5], ","),
		fsType: fields[dash+1], super: map[string][]string{},
	}
	for option := range strings.SplitSeq(fields[dash+3], ",") {
		key, value, _ := strings.Cut(option, "=")
		m.super[key] = append(m.super[key], unescape(value))
	}
	return m, true
}

// unescape undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
