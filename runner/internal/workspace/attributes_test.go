package workspace_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// acl is a list that lets user 33 write too (acl(5), linux/posix_acl_xattr.h): version, then tag, permissions and number of each entry.
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + // the owner: rw
	"\x02\x00\x06\x00\x21\x00\x00\x00" + // user 33: rw
	"\x04\x00\x04\x00\xff\xff\xff\xff" + // the group: r
	"\x10\x00\x06\x00\xff\xff\xff\xff" + // mask: rw
	"\x20\x00\x00\x00\xff\xff\xff\xff" // others: nothing

// What a patch cannot carry stays with the file that it changes, under its new name too; new files get nothing of their neighbours'.
func TestApplyKeepsAttributesAndLists(t *testing.T) {
	t.Parallel()
	const list = "system.posix_acl_access"
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	if err := unix.Setxattr(s.before+"/dir/one", "user.origin", []byte("here"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no extended attributes here")
	}
	for _, name := range []string{"/dir/one", "/noeol"} {
		must(t, unix.Setxattr(s.before+name, "user.origin", []byte("here"), 0))
		must(t, unix.Setxattr(s.before+name, list, []byte(acl), 0))
	}
	must(t, os.Link(s.before+"/dir/one", s.before+"/another name"))
	write(t, s.Merged+"/dir/one", "agent\n")
	must(t, os.Chmod(s.Merged+"/dir/one", 0o755))
	must(t, os.Rename(s.Merged+"/noeol", s.Merged+"/moved"))
	write(t, s.Merged+"/dir/new", "new\n")

	c := s.collect()
	linked, err := c.HardLinked(s.before)
	must(t, err)
	if !slices.Equal(linked, []string{"dir/one"}) {
		t.Errorf("hard links %q", linked)
	}
	must(t, c.Apply(t.Context(), s.before))
	for name, want := range map[string]string{"/dir/one": "here", "/moved": "here", "/dir/new": ""} {
		value := make([]byte, 1000)
		n, err := unix.Getxattr(s.before+name, "user.origin", value)
		if errors.Is(err, unix.ENODATA) {
			n, err = 0, nil
		}
		must(t, err)
		if got := string(value[:n]); got != want {
			t.Errorf("%s has attribute %q, want %q", name, got, want)
		}
		n, err = unix.Getxattr(s.before+name, list, value)
		if want == "" {
			if !errors.Is(err, unix.ENODATA) {
				t.Errorf("%s has a list: %v", name, err)
			}
			continue
		}
		must(t, err)
		if string(value[12:20]) != acl[12:20] || n != len(acl) {
			t.Errorf("%s has the list %q", name, value[:n])
		}
	}
	if got := read(t, s.before+"/another name"); got == "agent\n" {
		t.Error("a name that no patch has was written to")
	}
}
