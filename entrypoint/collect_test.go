package entrypoint_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// collectSession is a collector that runs in the test, and the runner's end of it.
type collectSession struct {
	t    *testing.T
	in   *io.PipeWriter
	send *wire.Writer
	recv *wire.CollectReader
	code chan int
}

func startCollector(t *testing.T, c entrypoint.Collector) *collectSession {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &collectSession{t: t, in: inW, send: wire.NewWriter(inW), recv: wire.NewCollectReader(outR), code: make(chan int, 1)}
	go func() {
		s.code <- c.Serve(inR, outW)
		inR.Close()
		outW.Close()
	}()
	return s
}

func (s *collectSession) request(r wire.CollectRequest) {
	s.t.Helper()
	if err := s.send.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

func (s *collectSession) next(want string) wire.CollectMessage {
	s.t.Helper()
	m, err := s.recv.Next()
	if err != nil || m.Type != want {
		s.t.Fatalf("got %q, %v; want %q", m.Type, err, want)
	}
	return m
}

func (s *collectSession) probe() wire.CollectProbe {
	s.t.Helper()
	s.request(wire.CollectRequest{Type: wire.TypeProbe, Wire: wire.Version, Name: []byte("kept"), HeartbeatTimeoutMs: 60_000, DeadlineMs: 60_000})
	return *s.next(wire.TypeProbe).Probe
}

// twoTrees are a workspace before and after: changed, added, a FIFO, a symlink that leads out.
func twoTrees(t *testing.T) entrypoint.Collector {
	t.Helper()
	dir := t.TempDir()
	c := entrypoint.Collector{Lower: dir + "/lower", Upper: dir + "/upper", Merged: dir + "/merged"}
	for name, content := range map[string]string{
		"lower/kept": "k", "merged/kept": "k", "lower/changed": "old", "merged/changed": "newer", "merged/added": "",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(unix.Mkfifo(c.Merged+"/fifo", 0o644), os.Symlink("/etc/passwd", c.Merged+"/link")); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCollectorAnswers(t *testing.T) {
	t.Parallel()
	c := twoTrees(t)
	s := startCollector(t, c)
	probe := s.probe()
	var st unix.Stat_t
	if err := unix.Stat(c.Lower, &st); err != nil || probe.Root.Ino != st.Ino || probe.Entry == nil {
		t.Errorf("probe %+v, %v: want inode %d and an entry", probe, err, st.Ino)
	}

	s.request(wire.CollectRequest{Type: wire.TypeCollect})
	index := map[string]int{}
	for i, want := range []string{"added", "changed", "fifo", "link"} {
		if got := string(s.next(wire.TypeChange).Change.Path); got != want {
			t.Fatalf("change %d is %q, want %q", i, got, want)
		}
		index[want] = i
	}
	if end := s.next(wire.TypeEnd).End; end.Changes != 4 {
		t.Errorf("end %+v, want 4 changes", end)
	}

	s.request(wire.CollectRequest{Type: wire.TypeHeartbeat})
	s.request(wire.CollectRequest{Type: wire.TypeFetch, Want: []wire.CollectWant{
		{Index: index["changed"], Side: wire.SideOld}, {Index: index["changed"], Side: wire.SideNew}, {Index: index["added"], Side: wire.SideNew},
	}})
	for _, want := range []string{"old", "newer", ""} {
		s.next(wire.TypeContent)
		if got, err := io.ReadAll(s.recv.Body()); err != nil || string(got) != want {
			t.Errorf("content %q, %v; want %q", got, err, want)
		}
		if end := s.next(wire.TypeContentEnd).ContentEnd; end.Error != "" {
			t.Errorf("content ended with %q", end.Error)
		}
	}

	// Neither what is no file, nor a side that is not there, nor a number out of range is opened.
	refused := []wire.CollectWant{
		{Index: index["fifo"], Side: wire.SideNew},
		{Index: index["link"], Side: wire.SideNew},
		{Index: index["added"], Side: wire.SideOld},
		{Index: 4, Side: wire.SideNew},
	}
	for _, want := range refused {
		s.request(wire.CollectRequest{Type: wire.TypeFetch, Want: []wire.CollectWant{want}})
		if m := s.next(wire.TypeContent); m.Content.Error == "" {
			t.Errorf("%+v was opened", want)
		}
	}
	s.request(wire.CollectRequest{Type: wire.TypeFinish})
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestCollectorSaysWhenAFileIsGone(t *testing.T) {
	t.Parallel()
	c := twoTrees(t)
	s := startCollector(t, c)
	s.probe()
	s.request(wire.CollectRequest{Type: wire.TypeCollect})
	for range 4 {
		s.next(wire.TypeChange)
	}
	s.next(wire.TypeEnd)
	if err := errors.Join(os.Remove(c.Merged+"/added"), os.Symlink("/etc/passwd", c.Merged+"/added")); err != nil {
		t.Fatal(err)
	}
	s.request(wire.CollectRequest{Type: wire.TypeFetch, Want: []wire.CollectWant{{Index: 0, Side: wire.SideNew}}})
	if m := s.next(wire.TypeContent); m.Content.Error == "" || m.Content.Size != 0 {
		t.Errorf("a symlink was opened: %+v", m.Content)
	}
	s.in.Close()
	<-s.code
}

func TestCollectorEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(*collectSession)
		code int
	}{
		"when its input ends":   {func(s *collectSession) { s.probe(); s.in.Close() }, 0},
		"before the first line": {func(s *collectSession) { s.in.Close() }, 0},
		"on silence": {func(s *collectSession) {
			s.request(wire.CollectRequest{Type: wire.TypeProbe, Wire: wire.Version, HeartbeatTimeoutMs: 50, DeadlineMs: 60_000})
			s.next(wire.TypeProbe)
		}, 1},
		"at the deadline": {func(s *collectSession) {
			s.request(wire.CollectRequest{Type: wire.TypeProbe, Wire: wire.Version, HeartbeatTimeoutMs: 60_000, DeadlineMs: 50})
			s.next(wire.TypeProbe)
		}, 1},
		"while nobody reads its answer": {func(s *collectSession) {
			s.request(wire.CollectRequest{Type: wire.TypeProbe, Wire: wire.Version, HeartbeatTimeoutMs: 60_000, DeadlineMs: 50})
		}, 1},
		"on a request before the probe": {func(s *collectSession) {
			s.request(wire.CollectRequest{Type: wire.TypeCollect})
			if _, err := s.recv.Next(); err == nil {
				s.t.Error("answered")
			}
		}, 1},
		"on a line that is no request": {func(s *collectSession) {
			if _, err := s.in.Write([]byte("{\"type\":\"rm\"}\n")); err != nil {
				s.t.Error(err)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startCollector(t, twoTrees(t))
			tc.do(s)
			if code := <-s.code; code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
		})
	}
}
