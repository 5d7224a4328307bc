package confine

import (
	"fmt"
	"slices"
	"strings"
)

// Mount is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)). Its texts are unescaped.
type Mount struct {
	Root    string   // the folder of the file system that is mounted
	Point   string   // where it is mounted
	Type    string   // the file system's type
	Options []string // the super block's options, as name or name=value
}

// Values returns the values of all options of this name, in their order.
func (m Mount) Values(name string) []string {
	var values []string
	for _, o := range m.Options {
		if n, value, ok := strings.Cut(o, "="); ok && n == name {
			values = append(values, value)
		}
	}
	return values
}

// ParseMounts reads a whole mountinfo. One line that is not understood makes all of it an error.
func ParseMounts(text []byte) ([]Mount, error) {
	var mounts []Mount
	for line := range strings.Lines(string(text)) {
		m, err := parseMount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("mountinfo line %q: %w", line, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// parseMount: ID, parent, device, root, point, options, any number of tags, a hyphen, type, source, options of the super block.
// Blanks inside a field are escaped; an empty source leaves two blanks side by side.
func parseMount(line string) (Mount, error) {
	const beforeTags, afterHyphen = 6, 3
	fields := strings.Split(line, " ")
	if len(fields) < beforeTags {
		return Mount{}, fmt.Errorf("%d fields", len(fields))
	}
	hyphen := slices.Index(fields[beforeTags:], "-") + beforeTags
	if hyphen < beforeTags || len(fields) != hyphen+1+afterHyphen {
		return Mount{}, fmt.Errorf("%d fields, hyphen at %d", len(fields), hyphen)
	}
	m := Mount{Root: unescape(fields[3]), Point: unescape(fields[4]), Type: unescape(fields[hyphen+1])}
	// A comma inside a value is escaped too, so that the options are split first.
	for o := range strings.SplitSeq(fields[hyphen+3], ",") {
		m.Options = append(m.Options, unescape(o))
	}
	return m, nil
}

// unescape replaces the kernel's \ooo (seq_escape in fs/seq_file.c) by the byte that it stands for, once. Anything else stays.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := octal(s[i:]); ok {
			b.WriteByte(c)
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] > '3' {
		return 0, false
	}
	var c byte
	for _, d := range []byte(s[1:4]) {
		if d < '0' || d > '7' {
			return 0, false
		}
		c = c<<3 | (d - '0')
	}
	return c, true
}
