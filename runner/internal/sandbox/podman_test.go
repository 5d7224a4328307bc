package sandbox

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

func TestPodmansWordsAreDockersWhereTheyMeanTheSame(t *testing.T) {
	want := spec{network: "net", capAdd: []string{"NET_ADMIN", "SETUID"}}
	networks := func(names ...string) *container.NetworkSettings {
		s := &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}}
		for _, name := range names {
			s.Networks[name] = &network.EndpointSettings{}
		}
		return s
	}
	said := func() *container.HostConfig {
		h := &container.HostConfig{NetworkMode: "bridge", PidMode: "private", Binds: []string{"/a:/b"}}
		h.CapAdd, h.CapDrop = []string{"NET_ADMIN"}, []string{"CHOWN", "KILL"}
		return h
	}
	same := func(h *container.HostConfig) bool {
		return h.NetworkMode == "net" && h.PidMode == "" && slices.Equal(h.CapDrop, []string{"ALL"}) && slices.Equal(h.CapAdd, want.capAdd)
	}
	h := said()
	if fromPodman(h, networks("net"), want); !same(h) {
		t.Errorf("what was asked for is %+v", h)
	}
	for name, change := range map[string]func(*container.HostConfig) *container.NetworkSettings{
		"another network":  func(*container.HostConfig) *container.NetworkSettings { return networks("other") },
		"a second network": func(*container.HostConfig) *container.NetworkSettings { return networks("net", "other") },
		"the host's network": func(h *container.HostConfig) *container.NetworkSettings {
			h.NetworkMode = "host"
			return networks("net")
		},
		"the host's PIDs": func(h *container.HostConfig) *container.NetworkSettings { h.PidMode = "host"; return networks("net") },
		"a capability more": func(h *container.HostConfig) *container.NetworkSettings {
			h.CapAdd = append(h.CapAdd, "SYS_ADMIN")
			return networks("net")
		},
		"a capability too few": func(h *container.HostConfig) *container.NetworkSettings {
			h.CapDrop = append(h.CapDrop, "SETUID")
			return networks("net")
		},
		"a capability with CAP": func(h *container.HostConfig) *container.NetworkSettings {
			h.CapAdd = []string{"CAP_BPF"}
			return networks("net")
		},
	} {
		h := said()
		if fromPodman(h, change(h), want); same(h) {
			t.Errorf("%s passes for what was asked for", name)
		}
	}
}

func TestWhatLiesBelowAMountHasAnArchiveOfItsOwn(t *testing.T) {
	var in, rest bytes.Buffer
	w := tar.NewWriter(&in)
	for _, name := range []string{"etc/passwd", "workspace/", "workspace/.env", "workspace/deep/.git/config", "workspaces/x", "./workspace/dot", "home/agent/x"} {
		h := &tar.Header{Name: name, Mode: 0o600, Uid: 1000, Typeflag: tar.TypeReg, Size: int64(len(name))}
		if name == "workspace/" {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	parts := map[string]*bytes.Buffer{}
	writers := map[string]*tar.Writer{}
	err := splitArchive(&in, func(mount string) *tar.Writer {
		if writers[mount] == nil {
			parts[mount] = new(bytes.Buffer)
			writers[mount] = tar.NewWriter(parts[mount])
		}
		return writers[mount]
	}, tar.NewWriter(&rest), []string{"/workspace", "/workspace/deep"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writers {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		archive io.Reader
		want    []string
	}{
		"the rest":      {&rest, []string{"etc/passwd", "workspaces/x", "home/agent/x"}},
		"the workspace": {parts["/workspace"], []string{".env", "dot"}},
		"what is in it": {parts["/workspace/deep"], []string{".git/config"}},
	} {
		if got := namesIn(t, c.archive); !slices.Equal(got, c.want) {
			t.Errorf("%s has %q, want %q", name, got, c.want)
		}
	}
}

func namesIn(t *testing.T, archive io.Reader) (names []string) {
	t.Helper()
	entries := tar.NewReader(archive)
	for {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
