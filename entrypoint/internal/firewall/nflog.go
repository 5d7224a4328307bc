package firewall

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

// logBuffer is the socket's receive buffer. It holds some ten thousand packets while the gateway is busy elsewhere.
const logBuffer = 8 << 20

// Log delivers the heads of refused packets. It may lose some under flood, which is no error: the rules' counters have them all.
type Log struct {
	conn   *nflog.Nflog
	cancel context.CancelFunc
	seen   atomic.Int64
	failed chan error
}

// Listen subscribes to [LogGroup] and calls fn for each refused packet, from one goroutine. fn must not block: while it does, the
// kernel drops. Close ends it.
func Listen(ctx context.Context, fn func(Packet)) (*Log, error) {
	conn, err := nflog.Open(&nflog.Config{
		Group:    LogGroup,
		Copymode: nflog.CopyPacket,
		Bufsize:  snapLength,
		QThresh:  1, // the kernel's default is to wait for a hundred packets or a second: at the end of a run these would be lost
	})
	if err != nil {
		return nil, fmt.Errorf("nflog: open: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Log{conn: conn, cancel: cancel, failed: make(chan error, 1)}
	if err := l.start(ctx, fn); err != nil {
		cancel()
		return nil, errors.Join(err, conn.Close())
	}
	return l, nil
}

func (l *Log) start(ctx context.Context, fn func(Packet)) error {
	if err := l.conn.Con.SetReadBuffer(logBuffer); err != nil {
		return fmt.Errorf("nflog: receive buffer: %w", err)
	}
	hook := func(a nflog.Attribute) int {
		l.seen.Add(1)
		fn(packetOf(a))
		return 0
	}
	onError := func(err error) int {
		switch {
		case ctx.Err() != nil:
			return 1
		case errors.Is(err, unix.ENOBUFS): // the kernel dropped some; the counters tell how many
			return 0
		default:
			l.failed <- fmt.Errorf("nflog: receive: %w", err)
			return 1
		}
	}
	if err := l.conn.RegisterWithErrorFunc(ctx, hook, onError); err != nil {
		return fmt.Errorf("nflog: group %d: %w", LogGroup, err)
	}
	return nil
}

// Seen is how many packets were delivered.
func (l *Log) Seen() int64 { return l.seen.Load() }

// Failed delivers the error that ended the subscription, if one did.
func (l *Log) Failed() <-chan error { return l.failed }

// Close ends the subscription.
func (l *Log) Close() error {
	l.cancel()
	return l.conn.Close()
}

func packetOf(a nflog.Attribute) Packet {
	var p Packet
	if a.Payload != nil {
		p, _ = parsePacket(*a.Payload)
	}
	if a.UID != nil {
		p.UID, p.HasUID = *a.UID, true
	}
	if a.OutDev != nil {
		p.OutDev = *a.OutDev
	}
	if a.Prefix != nil {
		p.Prefix = *a.Prefix
	}
	return p
}
