package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/internal/model"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// The descriptors that the serving process is started with, beside standard input (requests), output (messages) and error (last words).
const (
	fdSockets = 3 + iota
	fdDNSUDP
	fdDNSTCP
	fdProxy
	fdModel // only if a model's API is served
)

// server is the process that serves the agent. It has no capability, and a user whom no other process has.
type server struct {
	cfg    *wire.ServeConfig
	link   *link
	listen *listeners
	models *model.Server // nil when no model's API is served

	resolve *dnsServer
	connect *proxy
}

// Serve is the second process of the gateway, from the configuration on standard input to its last word on standard output; it returns the exit code. It is started by
// [Run], with its listeners.
func Serve() int {
	// Pipes that the poller waits for: a blocked read or write would keep a thread, and cost the answer that it brings some time.
	in, out := polled(0, "requests"), polled(1, "messages")
	l := newLink(out)
	requests := wire.NewReader(in, wire.MaxServeConfigLine)
	err := serveAgent(requests, l)
	if err == nil {
		return 0
	}
	fatal := wire.Fatal{Stage: "run", Reason: err.Error()}
	if staged := (*stageError)(nil); errors.As(err, &staged) {
		fatal = wire.Fatal{Stage: staged.stage, Reason: staged.err.Error()}
	}
	_ = l.send(wire.ServeMessage{Type: wire.TypeFatal, Fatal: &fatal}) // nothing is left to be done about it
	return 1
}

func polled(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true) // without it everything works, a little slower
	return os.NewFile(uintptr(fd), name)
}

// serveAgent serves until PID 1 asks to finish, or is gone.
func serveAgent(requests *wire.Reader, l *link) error {
	s, err := newServer(requests, l)
	if err != nil {
		return err
	}
	services, stop := background(context.Background(), s.services()...)
	defer stop()
	writes, stopWrites := background(context.Background(), l.run)
	defer stopWrites()
	if err := l.send(wire.ServeMessage{Type: wire.TypeReady}); err != nil {
		return err
	}
	finish := make(chan error, 1)
	go func() { finish <- l.listen(requests) }()
	select {
	case err := <-services:
		return at("run", err)
	case err := <-writes:
		return err
	case err := <-finish:
		if err != nil {
			return err
		}
	}
	stop()
	if err := <-services; err != nil {
		return at("run", err)
	}
	stopWrites()
	if err := <-writes; err != nil {
		return err
	}
	return l.send(wire.ServeMessage{Type: wire.TypeDone})
}

// listen takes answers until PID 1 asks to finish (then nil) or is gone.
func (l *link) listen(requests *wire.Reader) error {
	for {
		var r wire.ServeRequest
		err := requests.Next(&r)
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("PID 1 is gone")
		case err != nil:
			return err
		case r.Type == wire.TypeFinish:
			return nil
		case r.Type == wire.TypeOwner && r.Owner != nil:
			l.owner(r.Owner)
		default:
			return fmt.Errorf("unexpected request %q", r.Type)
		}
	}
}

// newServer reads the configuration and takes over the descriptors.
func newServer(requests *wire.Reader, l *link) (*server, error) {
	var first wire.ServeRequest
	if err := requests.Next(&first); err != nil {
		return nil, at("config", err)
	}
	if first.Config == nil {
		return nil, at("config", fmt.Errorf("the first request is %q, not %q", first.Type, wire.TypeConfig))
	}
	s := &server{cfg: first.Config, link: l}
	p, err := policy.Parse(s.cfg.Policy)
	if err != nil {
		return nil, at("config", err)
	}
	sockets, err := unixConn(os.NewFile(fdSockets, "sockets"))
	if err != nil {
		return nil, at("listen", err)
	}
	up := upstreamConfig{
		Resolvers: s.cfg.Resolvers, InternalResolver: s.cfg.InternalResolver, LookupSource: netip.MustParseAddr(firewall.LookupSource),
		Own: s.cfg.Own, Policy: p, Proxy: s.cfg.UpstreamProxy, NoProxy: s.cfg.NoProxy, Control: (&marker{conn: sockets}).control,
	}
	if up.Roots, err = roots(s.cfg.CAPEM); err != nil {
		return nil, at("config", err)
	}
	if s.models, err = newModels(s.cfg, up, l); err != nil {
		return nil, at("config", err)
	}
	if s.listen, err = takeListeners(s.models != nil); err != nil {
		return nil, at("listen", err)
	}
	pool := newPool(maxNames)
	s.resolve = newDNS(p, pool, l, l)
	s.connect = newProxy(p, pool, newUpstream(up), l, l)
	return s, nil
}

// roots are the image's certificates, which are Debian's, and those of the user. Where there are none of the user's it is nil, for the system's: these are
// read when they are needed.
func roots(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("no certificate in caPem")
	}
	return pool, nil
}

func (s *server) services() []func(context.Context) error {
	services := []func(context.Context) error{
		func(ctx context.Context) error { return s.resolve.Serve(ctx, s.listen.dnsUDP, s.listen.dnsTCP) },
		func(ctx context.Context) error { return s.connect.Serve(ctx, s.listen.proxy) },
	}
	if s.models != nil {
		services = append(services, func(ctx context.Context) error {
			told, stop := background(context.WithoutCancel(ctx), func(ctx context.Context) error { return tellUsage(ctx, s.models, s.link.send) })
			err := s.models.Serve(ctx, s.listen.model)
			stop() // what the last requests took is told behind their end
			return errors.Join(err, <-told)
		})
	}
	return services
}

// takeListeners finds the listeners among the descriptors.
func takeListeners(models bool) (*listeners, error) {
	l := new(listeners)
	udp := os.NewFile(fdDNSUDP, "dns")
	defer func() { _ = udp.Close() }()
	conn, err := net.FilePacketConn(udp)
	if err != nil {
		return nil, err
	}
	var ok bool
	if l.dnsUDP, ok = conn.(*net.UDPConn); !ok {
		return nil, fmt.Errorf("descriptor %d is a %T", fdDNSUDP, conn)
	}
	streams := map[uintptr]**net.TCPListener{fdDNSTCP: &l.dnsTCP, fdProxy: &l.proxy}
	if models {
		streams[fdModel] = &l.model
	}
	for fd, at := range streams {
		file := os.NewFile(fd, "listener")
		ln, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return nil, err
		}
		if *at, ok = ln.(*net.TCPListener); !ok {
			return nil, fmt.Errorf("descriptor %d is a %T", fd, ln)
		}
	}
	return l, nil
}
