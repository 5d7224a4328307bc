package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const somePatch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n \tkept\n--- gone\n+\x1b[2Jnew\u202e\n"

func TestDiffIsColouredAndInert(t *testing.T) {
	t.Parallel()
	var plain, coloured strings.Builder
	if err := errors.Join(writeDiff(&plain, strings.NewReader(somePatch), false), writeDiff(&coloured, strings.NewReader(somePatch), true)); err != nil {
		t.Fatal(err)
	}
	want := "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n \tkept\n--- gone\n+\\x1b[2Jnew\\u202e\n"
	if plain.String() != want {
		t.Errorf("got %q, want %q", plain.String(), want)
	}
	for _, line := range []string{"\x1b[1m--- a/x\x1b[m\n", "\x1b[36m@@ ", "\x1b[31m--- gone\x1b[m\n", "\x1b[32m+\\x1b[2Jnew", "\n \tkept\n"} {
		if !strings.Contains(coloured.String(), line) {
			t.Errorf("no %q in %q", line, coloured.String())
		}
	}
}

func TestPagerIsTheEnvironments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page := func(pager, less string) string {
		var out strings.Builder
		getenv := func(name string) string { return map[string]string{"PAGER": pager, "LESS": less}[name] }
		err := paged(&out, io.Discard, getenv, func(w io.Writer) error {
			_, err := io.WriteString(w, "patch")
			return err
		})
		if err != nil {
			t.Errorf("pager %q: %v", pager, err)
		}
		return out.String()
	}
	if got := page("sed 's/^/paged /'; echo \" $LESS\"", ""); got != "paged patch FRX\n" {
		t.Errorf("got %q", got)
	}
	if got := page("cat", ""); got != "patch" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "quits"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := paged(&out, io.Discard, func(string) string { return filepath.Join(dir, "quits") }, func(w io.Writer) error {
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("a pager that quits early: %v", err)
	}
}

// A patch without a newline, which costs its author nothing to make, is not held in memory.
func TestALineWithoutEndIsShownInPieces(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 7
	longest, sum := 0, 0
	err := eachLine(io.LimitReader(zeros{}, size), func(line string) error {
		longest, sum = max(longest, len(line)), sum+len(line)
		return nil
	})
	if err != nil || longest > maxLine || sum != size {
		t.Errorf("%d of %d bytes, the longest piece has %d: %v", sum, size, longest, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
