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

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	maxSockets = 65536 // lines of one table that are looked at
	maxCmdline = 512
	maxExe     = 256
	maxParents = 16
	// identifiersTried are tried for the newest processes; a program may have just started a dozen threads.
	identifiersTried = 20
)

// findSocket returns the inode of a socket, in decimal, or "". The tables in /proc/net are for what sock_diag cannot tell: UDP sockets whose peer is
// not known, and kernels without the module.
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

// newestProcesses are those with the last identifiers that were given away, newest first: a look at all of /proc takes longer than many a process
// lives on. The last field of /proc/loadavg is the last identifier.
func newestProcesses(loadavg io.ReaderAt, most int) (pids []int) {
	var buf [128]byte
	n, _ := loadavg.ReadAt(buf[:], 0) // the end of the file is an error, too
	last, err := strconv.Atoi(string(bytes.TrimSpace(buf[bytes.LastIndexByte(buf[:n], ' ')+1 : n])))
	if err != nil {
		return nil
	}
	for pid := last; pid > 1 && pid > last-identifiersTried && len(pids) < most; pid-- {
		if isProcess(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isProcess says whether an identifier is that of a process, not of a thread, which /proc would show as if it were one.
func isProcess(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // also on kernels before 5.3: there all of /proc is looked at
		return false
	}
	_ = unix.Close(fd)
	return true
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

// glimpse reads what is lost first when a process ends. All of it is the agent's text.
func glimpse(pid int) *reports.Process {
	return &reports.Process{PID: pid, Exe: exeOf(pid), Cmdline: cmdlineOf(pid)}
}

// parentsOf are the executables of a process's parents, up to the agent's.
func parentsOf(pid int) (parents []string) {
	for parent := statOf(pid).parent; parent > 1 && len(parents) < maxParents; parent = statOf(parent).parent {
		exe := exeOf(parent)
		if exe == "" || exe == wire.EntrypointPath {
			break
		}
		parents = append(parents, exe)
	}
	return parents
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

// stat is what /proc/PID/stat says.
type stat struct {
	name   string
	parent int
}

func statOf(pid int) stat {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}
	}
	return parseStat(line)
}

// parseStat reads the second field and the fourth. The second is the process's name in parentheses, which may hold anything, parentheses too.
func parseStat(line []byte) (s stat) {
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return stat{}
	}
	s.name = string(line[begin+1 : end])
	if fields := bytes.Fields(line[end+1:]); len(fields) > 1 {
		s.parent, _ = strconv.Atoi(string(fields[1])) // 0 is no process
	}
	return s
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
