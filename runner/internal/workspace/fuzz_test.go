package workspace

import (
	"bytes"
	"strings"
	"testing"
)

// A stored patch is what yolo-run apply is given: anybody's bytes. No path in it leads out of the workspace or into git's own folder.
func FuzzOldPaths(f *testing.F) {
	f.Add([]byte("diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"))
	f.Add([]byte("diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n"))
	f.Add([]byte("diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+b\n"))
	f.Add([]byte("diff --git \"a/\\303\\274\" \"b/.git/config\"\nold mode 100644\nnew mode 120000\n"))
	f.Add([]byte("diff --git a/b b/b\nnew file mode 100644\nGIT binary patch\nliteral 1\nIcmZ0000\n\nliteral 0\nHcmV?d00001\n\n"))
	f.Fuzz(func(t *testing.T, patch []byte) {
		paths, err := oldPaths(patch)
		if err != nil {
			return
		}
		for _, p := range paths {
			first, _, _ := strings.Cut(p, "/")
			if p == "" || strings.HasPrefix(p, "/") || strings.EqualFold(first, ".git") || strings.Contains("/"+p+"/", "/../") {
				t.Errorf("path %q", p)
			}
		}
	})
}

// Names in git's list of changes are the agent's: none can add a change or hide another's.
func FuzzParseDiff(f *testing.F) {
	f.Add("x", "y")
	f.Add("a\tb\n:100644 100644 1 2 M", "0\t0\t")
	f.Add(":", " ")
	f.Fuzz(func(t *testing.T, name, other string) {
		_, _ = parseDiff(name) // whatever comes
		if name == "" || other == "" || strings.Contains(name+other, "\x00") {
			return
		}
		out := ":100644 100644 1 2 M\x00" + name + "\x00:100644 100644 1 2 R100\x00" + name + "\x00" + other + "\x003\t4\t" + name + "\x00-\t-\t\x00" + name + "\x00" + other + "\x00"
		changes, err := parseDiff(out)
		if err != nil || len(changes) != 2 {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
		if changes[0].path != name || changes[0].insertions != 3 || changes[1].oldPath != name || changes[1].path != other || !changes[1].binary {
			t.Errorf("got %+v", changes)
		}
	})
}

// Only headers change, and only by quotes: every other line is as git wrote it, and there are as many.
func FuzzQuoteHeaders(f *testing.F) {
	f.Add([]byte("diff --git a/x /y b/x /y\nnew file mode 100644\n"))
	f.Add([]byte("+diff --git a/x /y b/x /y\n" + strings.Repeat("z", 70_000) + "diff --git a/x /y b/x /y\nend"))
	f.Fuzz(func(t *testing.T, patch []byte) {
		var out bytes.Buffer
		if err := quoteHeaders(&out, bytes.NewReader(patch)); err != nil {
			t.Fatal(err)
		}
		was, is := bytes.Split(patch, []byte("\n")), bytes.Split(out.Bytes(), []byte("\n"))
		if len(was) != len(is) {
			t.Fatalf("%d lines became %d", len(was), len(is))
		}
		for i := range was {
			if !bytes.HasPrefix(was[i], []byte(patchHeader)) && !bytes.Equal(was[i], is[i]) {
				t.Errorf("%q became %q", was[i], is[i])
			}
		}
	})
}
