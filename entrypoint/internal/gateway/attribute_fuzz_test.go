package gateway

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"
)

// The kernel's answers are not the agent's, but the addresses and the name in them are; parsers take what comes.
func FuzzSocketTable(f *testing.F) {
	f.Add([]byte("   3: 0A64A8C0:1F90 0164A8C0:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 12345 1"))
	f.Add([]byte("  1: 0000000000000000FFFF00000A64A8C0:1F90 0000000000000000FFFF00000164A8C0:01BB 01 0:0 0:0 0 0 0 99 1 2 0 7"))
	f.Add([]byte("entries drop\n00000001 0000000a\n00000001 7fffffffffffffff\n"))
	s := socket{"tcp", netip.MustParseAddrPort("192.168.100.10:8080"), netip.MustParseAddrPort("192.168.100.1:443")}
	f.Fuzz(func(t *testing.T, table []byte) {
		if inode := matchSocket(table, s); inode == "0" || inode != "" && !bytes.Contains(table, []byte(inode)) {
			t.Errorf("inode %q", inode)
		}
		for _, inode := range inodesTo(bytes.NewReader(table), s) {
			if inode == "0" || !bytes.Contains(table, []byte(inode)) {
				t.Errorf("inode %q", inode)
			}
		}
		parseConntrackDrops(bytes.NewReader(table))
		parseUDPDrops(bytes.NewReader(table), s.local)
	})
}

// A process chooses its name, which stands in parentheses in a line of blanks.
func FuzzStat(f *testing.F) {
	f.Add("bash", 1)
	f.Add(") R 4 (", 7)
	f.Add("a\nb (deleted", 2)
	f.Add("", 0)
	f.Fuzz(func(t *testing.T, name string, parent int) {
		parseStat([]byte(name)) // whatever comes
		if parent < 0 {
			return
		}
		got := parseStat(fmt.Appendf(nil, "42 (%s) S %d 42 42 0 -1 4194304 95", name, parent))
		if got.name != name || got.parent != parent {
			t.Errorf("got %+v, want name %q and parent %d", got, name, parent)
		}
	})
}

func FuzzDiagAnswer(f *testing.F) {
	answer := make([]byte, unix.SizeofNlMsghdr+diagAnswerSize)
	binary.NativeEndian.PutUint16(answer[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint32(answer[unix.SizeofNlMsghdr+diagInodeOffset:], 4711)
	f.Add(answer)
	f.Add(answer[:len(answer)-1])
	f.Add([]byte{20, 0, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		inode := diagInode(b)
		if inode == "" {
			return
		}
		if n, err := strconv.ParseUint(inode, 10, 32); err != nil || n == 0 {
			t.Errorf("inode %q", inode)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"curl https://a.test", "\x1b[31m", "\u202e", "\xff\xfe", "a\nb", strings.Repeat("x", 600), "\u2028", "ü\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s, maxCmdline)
		if len(got) > maxCmdline {
			t.Errorf("%d bytes", len(got))
		}
		for _, r := range got {
			if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
				t.Errorf("%q holds %q", got, r)
			}
		}
	})
}
