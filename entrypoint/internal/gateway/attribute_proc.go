package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	maxSockets = 65536 // lines of one table that are looked at
	maxCmdline = 512
	maxExe     = 256
	maxParents = 16
)

// findSocket returns the inode of a socket, in decimal, or "". The tables in /proc/net are for what sock_diag cannot tell: UDP sockets,
// which may have no peer and whose table is short, and kernels without the module.
func findSocket(s socket) string {
	if inode := diagSocket(s); inode != "" {
		return inode
	}
	for _, table := range []string{s.network, s.network + "6"} {
		if inode := searchTable("/proc/net/"+table, s); inode != "" {
			return inode
		}
	}
	return findRemapped(s)
}

// findRemapped finds a connection whose source port the redirect has changed, as it does when another connection of a moment ago had the same
// one: then only address and destination are known, and only if one socket alone has them it is certain.
func findRemapped(s socket) string {
	if s.network != "tcp" || !s.remote.IsValid() {
		return ""
	}
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		inodes, err := readWith(table, func(r io.Reader) []string { return inodesTo(r, s) })
		if err == nil {
			found = append(found, inodes...)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// inodesTo are the sockets with a connection's own address and destination, whatever their port.
func inodesTo(table io.Reader, s socket) []string {
	var inodes []string
	lines := bufio.NewScanner(table)
	for n := 0; lines.Scan() && n < maxSockets; n++ {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 10 || string(fields[9]) == "0" {
			continue
		}
		local, ok := parseProcAddr(fields[1])
		remote, known := parseProcAddr(fields[2])
		if ok && known && local.Addr() == s.local.Addr() && remote == s.remote {
			inodes = append(inodes, string(fields[9]))
		}
	}
	return inodes
}

func searchTable(path string, s socket) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for n := 0; lines.Scan() && n < maxSockets; n++ {
		if inode := matchSocket(lines.Bytes(), s); inode != "" {
			return inode
		}
	}
	return ""
}

// matchSocket returns the inode of a line such as
//
//	3: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 12345 …
//
// when it is the socket that is looked for: same local port and address, or no address yet; for TCP also the same peer, because a
// connection that was redirected still has the peer that it asked for.
func matchSocket(line []byte, s socket) string {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return ""
	}
	local, ok := parseProcAddr(fields[1])
	if !ok || local.Port() != s.local.Port() || !local.Addr().IsUnspecified() && local.Addr() != s.local.Addr() {
		return ""
	}
	remote, ok := parseProcAddr(fields[2])
	if !ok || s.network == "tcp" && s.remote.IsValid() && remote != s.remote {
		return ""
	}
	if inode := string(fields[9]); inode != "0" {
		return inode
	}
	return ""
}

// parseProcAddr reads ADDRESS:PORT, where the address is 32-bit words in the machine's order.
func parseProcAddr(b []byte) (netip.AddrPort, bool) {
	host, port, ok := bytes.Cut(b, []byte(":"))
	raw, err := hex.DecodeString(string(host))
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	if len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), true
}

// processes lists all but this one and another, newest first: who calls has often just started.
func processes(other int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // what was read before an error is still of use
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() && pid != other {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	slices.Reverse(pids)
	return pids
}

// holdsSocket looks through the open files of a process until it is late: one process may have a million. The error says that it may not be looked into.
func holdsSocket(pid int, inode string, late func() bool) (bool, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	if err != nil { // it ended
		return false, nil
	}
	defer func() { _ = dir.Close() }()
	want := "socket:[" + inode + "]"
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if target, err := os.Readlink(path + "/" + name); err == nil && target == want {
				return true, nil
			}
		}
		if err != nil || late() {
			return false, nil // the end
		}
	}
}

// describe reads what is known of a process. All of it is the agent's text.
func describe(pid int) *reports.Process {
	p := &reports.Process{PID: pid, Exe: exeOf(pid), Cmdline: cmdlineOf(pid)}
	for parent := parentOf(pid); parent > 1 && len(p.Parents) < maxParents; parent = parentOf(parent) {
		exe := exeOf(parent)
		if exe == "" || exe == wire.EntrypointPath {
			break
		}
		p.Parents = append(p.Parents, exe)
	}
	return p
}

func exeOf(pid int) string {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return ""
	}
	return printable(exe, maxExe)
}

func cmdlineOf(pid int) string {
	file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	buf := make([]byte, maxCmdline)
	n, _ := file.Read(buf) // nothing for a process that has ended
	return printable(strings.ReplaceAll(strings.TrimRight(string(buf[:n]), "\x00"), "\x00", " "), maxCmdline)
}

// parentOf reads the fourth field of /proc/PID/stat; the second is the process's name in parentheses, which may hold anything.
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}

// printable bounds text of the agent's and escapes what a terminal, a log or a reader could take for something else: control
// characters, bidirectional overrides, bytes that are no UTF-8.
func printable(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		text := string(r)
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			text = strings.Trim(strconv.QuoteToASCII(string(r)), `"`)
		}
		if b.Len()+len(text) > limit {
			break
		}
		b.WriteString(text)
	}
	return b.String()
}
