package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// maxHello is how much a client may send before its ClientHello is complete. Real ones with post-quantum keys are about 2 KiB.
const maxHello = 16 << 10

// extensionECH is encrypted_client_hello (RFC 9849): the name inside it is another than the one outside.
const extensionECH = 0xfe0d

// clientHello is what a TLS client says about itself before anything is encrypted.
type clientHello struct {
	serverName string // as sent, empty when absent
	ech        bool
}

var (
	errNotTLS     = errors.New("not TLS")
	errHelloSize  = fmt.Errorf("no complete ClientHello in %d octets", maxHello)
	errHelloTaken = errors.New("the ClientHello was read") // ends the handshake, never leaves this file
)

// readClientHello reads r up to the end of a TLS ClientHello, and returns it with all that was read: the bytes to forward.
//
// The parser is crypto/tls's own, as strict as a server's: it joins fragments and records, and refuses a repeated extension, a
// second server name, a name with a trailing dot (RFC 6066, 3), and lengths that do not add up. An error is errNotTLS when the first
// record is no TLS handshake, errHelloSize over the bound, a timeout of r, io.EOF before the first byte, or a parser's.
func readClientHello(r io.Reader) (clientHello, []byte, error) {
	var hello clientHello
	conn := &tapedConn{r: r}
	take := func(info *tls.ClientHelloInfo) {
		hello.serverName = info.ServerName
		hello.ech = slices.Contains(info.Extensions, extensionECH)
	}
	err := tls.Server(conn, &tls.Config{ //nolint:gosec // no session ever comes of it, so its versions do not matter
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			take(info)
			return nil, errHelloTaken
		},
		// Asked first when there is an encrypted hello, well formed or not.
		GetEncryptedClientHelloKeys: func(info *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
			take(info)
			return nil, errHelloTaken
		},
	}).HandshakeContext(context.Background()) // r has the deadline
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, errHelloTaken):
		return hello, conn.tape.Bytes(), nil
	case errors.As(err, &header):
		return clientHello{}, conn.tape.Bytes(), errNotTLS
	case conn.err != nil:
		return clientHello{}, conn.tape.Bytes(), conn.err
	}
	return clientHello{}, conn.tape.Bytes(), err
}

// tapedConn gives crypto/tls something to read from. It remembers what was read, bounds it, and swallows what is written.
type tapedConn struct {
	r    io.Reader
	tape bytes.Buffer
	err  error // the first one of r, which crypto/tls may dress up
}

var _ net.Conn = (*tapedConn)(nil)

// Read implements [io.Reader].
func (c *tapedConn) Read(p []byte) (int, error) {
	left := maxHello - c.tape.Len()
	if left <= 0 {
		c.err = errHelloSize
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(len(p), left)])
	c.tape.Write(p[:n])
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// Write implements [io.Writer]: alerts of a server that does not exist go nowhere.
func (c *tapedConn) Write(p []byte) (int, error) { return len(p), nil }

// The rest of [net.Conn]. Deadlines are those of r.
func (c *tapedConn) Close() error                     { return nil }
func (c *tapedConn) LocalAddr() net.Addr              { return nil }
func (c *tapedConn) RemoteAddr() net.Addr             { return nil }
func (c *tapedConn) SetDeadline(time.Time) error      { return nil }
func (c *tapedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *tapedConn) SetWriteDeadline(time.Time) error { return nil }
