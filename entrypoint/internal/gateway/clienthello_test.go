package gateway

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// extension is one of a ClientHello.
type extension struct {
	id   uint16
	data []byte
}

func vector8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
func vector16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// serverNames is the extension of RFC 6066, 3.
func serverNames(names ...string) extension {
	var list []byte
	for _, n := range names {
		list = append(list, 0) // host_name
		list = append(list, vector16([]byte(n))...)
	}
	return extension{id: 0, data: vector16(list)}
}

// handshake is a ClientHello as a handshake message, without records.
func handshake(extensions ...extension) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, vector8(nil)...)                        // session
	body = append(body, vector16([]byte{0x13, 1, 0xc0, 47})...) // cipher suites
	body = append(body, vector8([]byte{0})...)                  // no compression
	var list []byte
	for _, e := range extensions {
		list = binary.BigEndian.AppendUint16(list, e.id)
		list = append(list, vector16(e.data)...)
	}
	if len(list) > 0 { // an empty list is left out, as a client without extensions does
		body = append(body, vector16(list)...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	head[0] = 1 // client_hello
	return append(head, body...)
}

// records cuts a message into TLS records of at most size octets.
func records(message []byte, size int) []byte {
	var out []byte
	for part := range slices.Chunk(message, size) {
		out = append(out, tlsHandshake, 3, 1)
		out = append(out, vector16(part)...)
	}
	return out
}

func hello(extensions ...extension) []byte { return records(handshake(extensions...), 1<<14) }

var (
	versions = extension{id: 43, data: vector8([]byte{3, 4, 3, 3})}
	ech      = extension{id: extensionECH, data: []byte{0, 0, 1, 0, 1, 7, 0, 0, 0, 0}}
)

func TestReadClientHello(t *testing.T) {
	name := serverNames("a.example")
	tests := []struct {
		what string
		in   []byte
		want clientHello
		err  string // part of it; empty: none
	}{
		{"a name", hello(name, versions), clientHello{serverName: "a.example"}, ""},
		{"a name as it was written", hello(serverNames("A.Example")), clientHello{serverName: "A.Example"}, ""},
		{"a record for each octet", records(handshake(name), 1), clientHello{serverName: "a.example"}, ""},
		{"no name", hello(versions), clientHello{}, ""},
		{"no extension", hello(), clientHello{}, ""},
		{"what follows is not looked at", append(hello(name), "rest"...), clientHello{serverName: "a.example"}, ""},
		{"encrypted hello", hello(name, versions, ech), clientHello{serverName: "a.example", ech: true}, ""},
		{"malformed encrypted hello", hello(name, versions, extension{extensionECH, []byte{9}}), clientHello{serverName: "a.example", ech: true}, ""},
		{"two names in one extension", hello(serverNames("a.example", "b.example")), clientHello{}, "tls"},
		{"two name extensions", hello(name, serverNames("b.example")), clientHello{}, "tls"},
		{"a trailing dot", hello(serverNames("a.example.")), clientHello{}, "tls"},
		{"a length that is too long", flip(hello(name), 8), clientHello{}, "EOF"},
		{"a length that is too short", flip(hello(name), 8, 0x01), clientHello{}, "tls"},
		{"a server's hello", flip(hello(name), 5), clientHello{}, "tls"},
		{"plain HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), clientHello{}, errNotTLS.Error()},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), clientHello{}, errNotTLS.Error()},
		{"nothing", nil, clientHello{}, "EOF"},
		{"half", hello(name)[:20], clientHello{}, "EOF"},
		{"an end that never comes", records(unfinished(maxHello), 1<<10), clientHello{}, errHelloSize.Error()},
		{"empty records", bytes.Repeat([]byte{tlsHandshake, 3, 1, 0, 0}, maxHello), clientHello{}, "tls"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			got, head, err := readClientHello(bytes.NewReader(tt.in))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if !bytes.HasPrefix(tt.in, head) || len(head) > maxHello {
				t.Errorf("what was read is not what came: %d of %d octets", len(head), len(tt.in))
			}
			slow, _, slowErr := readClientHello(iotest.OneByteReader(bytes.NewReader(tt.in)))
			if slow != got || (slowErr == nil) != (err == nil) {
				t.Errorf("octet by octet: %+v, %v; at once: %+v, %v", slow, slowErr, got, err)
			}
		})
	}
}

// flip inverts one octet, or the given bits of it.
func flip(b []byte, i int, bits ...byte) []byte {
	mask := byte(0xff)
	if len(bits) > 0 {
		mask = bits[0]
	}
	b[i] ^= mask
	return b
}

// unfinished announces a longer hello than it sends.
func unfinished(n int) []byte {
	m := make([]byte, n)
	copy(m, []byte{1, 0, 0xff, 0xff, 3, 3})
	return m
}

func TestReadClientHelloOfGo(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2"}}).Handshake()
	}()
	got, head, err := readClientHello(server)
	server.Close()
	if err != nil || got != (clientHello{serverName: "a.example"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(head) < 200 || head[0] != tlsHandshake {
		t.Errorf("%d octets were read", len(head))
	}
}

func TestReadClientHelloGivesUpAtTheDeadline(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readClientHello(server); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// FuzzClientHello: whatever comes, the parser returns, keeps every octet that it read, and reads the same whatever the segments are.
func FuzzClientHello(f *testing.F) {
	f.Add(hello(serverNames("a.example"), versions))
	f.Add(hello(versions, ech))
	f.Add(records(handshake(serverNames("a.example")), 3))
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add([]byte{tlsHandshake, 3, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, head, err := readClientHello(bytes.NewReader(in))
		if !bytes.HasPrefix(in, head) || len(head) > maxHello {
			t.Fatalf("read %d of %d octets, not the first ones", len(head), len(in))
		}
		if err != nil && got != (clientHello{}) {
			t.Fatalf("%+v in spite of %v", got, err)
		}
		slow, _, slowErr := readClientHello(iotest.OneByteReader(io.LimitReader(bytes.NewReader(in), maxHello)))
		if (err == nil) != (slowErr == nil) || slow != got {
			t.Fatalf("at once %+v, %v; octet by octet %+v, %v", got, err, slow, slowErr)
		}
	})
}
