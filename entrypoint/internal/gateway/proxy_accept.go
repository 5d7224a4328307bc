package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long a listener rests when the kernel has nothing to give.
const acceptPause = 10 * time.Millisecond

// acceptAll serves every connection of ln on a goroutine of its own, at most limit at once; refuse gets what is over it. It returns
// when ctx ended (then nil) or ln failed, in both cases after ln and all connections are closed and serve has returned for each.
func acceptAll(
	ctx context.Context, ln *net.TCPListener, limit int,
	serve func(context.Context, *net.TCPConn), refuse func(*net.TCPConn),
) error {
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	places := make(chan struct{}, limit)
	for {
		conn, err := ln.AcceptTCP()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				abort(conn)
			}
			return nil
		case passing(err):
			// The agent can bring this about; the gateway must not die of it.
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		case err != nil:
			_ = ln.Close()
			return fmt.Errorf("accept at %s: %w", ln.Addr(), err)
		}
		select {
		case places <- struct{}{}:
			open.Go(func() {
				defer func() { <-places }()
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { abort(conn) })
				defer stop()
				serve(ctx, conn)
			})
		default:
			refuse(conn)
		}
	}
}

// passing reports errors of accept(2) that say nothing about the listener: the peer is gone already, or memory or descriptors are
// used up for the moment.
func passing(err error) bool {
	for _, errno := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// remoteAddr is the agent's end of a connection.
func remoteAddr(conn *net.TCPConn) netip.AddrPort {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
