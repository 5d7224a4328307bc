package runner

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"testing"
	"time"
)

type treeEntry struct {
	tar.Header
	content string
}

func treeStream(t *testing.T, entries []treeEntry) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func sampleTree() []treeEntry {
	return []treeEntry{
		{tar.Header{Name: "agent/", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		{tar.Header{Name: "agent/bin/program", Typeflag: tar.TypeReg, Mode: 0o755}, "bytes"},
		{tar.Header{Name: "agent/bin/other", Typeflag: tar.TypeSymlink, Linkname: "program", Mode: 0o777}, ""},
	}
}

func TestDigestOfATreeIsThatOfWhatARunCouldNotice(t *testing.T) {
	digest := func(change func([]treeEntry) []treeEntry) string {
		t.Helper()
		d, err := digestTree(treeStream(t, change(sampleTree())), ".complete")
		if err != nil {
			t.Fatal(err)
		}
		if len(d) != digestLength {
			t.Errorf("digest %q has %d characters, want %d", d, len(d), digestLength)
		}
		return d
	}
	same := map[string]func([]treeEntry) []treeEntry{
		"another time":  func(e []treeEntry) []treeEntry { e[1].ModTime = time.Unix(1, 0); return e },
		"another order": func(e []treeEntry) []treeEntry { slices.Reverse(e); return e },
		"the marker": func(e []treeEntry) []treeEntry {
			return append(e, treeEntry{tar.Header{Name: "agent/.complete", Typeflag: tar.TypeReg}, "x"})
		},
		"another name of the first folder": func(e []treeEntry) []treeEntry {
			e[0].Name, e[1].Name, e[2].Name = "x/", "x/bin/program", "x/bin/other"
			return e
		},
	}
	different := map[string]func([]treeEntry) []treeEntry{
		"content": func(e []treeEntry) []treeEntry { e[1].content = "bytez"; return e },
		"mode":    func(e []treeEntry) []treeEntry { e[1].Mode = 0o4755; return e },
		"owner":   func(e []treeEntry) []treeEntry { e[1].Uid = 1000; return e },
		"group":   func(e []treeEntry) []treeEntry { e[1].Gid = 1000; return e },
		"name":    func(e []treeEntry) []treeEntry { e[1].Name = "agent/bin/Program"; return e },
		"link":    func(e []treeEntry) []treeEntry { e[2].Linkname = "/bin/sh"; return e },
		"kind":    func(e []treeEntry) []treeEntry { e[2].Typeflag = tar.TypeLink; return e },
		"missing": func(e []treeEntry) []treeEntry { return e[:2] },
		"more": func(e []treeEntry) []treeEntry {
			return append(e, treeEntry{tar.Header{Name: "agent/.complete/x", Mode: 0o644}, ""})
		},
		"a newline": func(e []treeEntry) []treeEntry { e[1].Name = "agent/bin/program\n"; return e },
	}
	want := digest(func(e []treeEntry) []treeEntry { return e })
	for name, change := range same {
		if got := digest(change); got != want {
			t.Errorf("%s makes another digest", name)
		}
	}
	for name, change := range different {
		if got := digest(change); got == want {
			t.Errorf("another %s makes the same digest", name)
		}
	}
}

func TestDigestOfATreeThatBreaksOffIsAnError(t *testing.T) {
	whole, err := io.ReadAll(treeStream(t, sampleTree()))
	if err != nil {
		t.Fatal(err)
	}
	const block = 512
	if _, err := digestTree(bytes.NewReader(whole[:2*block+3]), ""); err == nil {
		t.Error("a stream that ends within a file has a digest")
	}
}
