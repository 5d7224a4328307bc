package workspace

import (
	"strings"
	"testing"
)

func TestQuoteHeaders(t *testing.T) {
	t.Parallel()
	long := "+" + strings.Repeat("diff --git a/x /y b/x /y", 10_000) + "\n"
	for in, want := range map[string]string{
		"diff --git a/dir /x b/dir /x\nBinary\n":      "diff --git \"a/dir /x\" \"b/dir /x\"\nBinary\n",
		"diff --git a/d /\"x b/d /\"x\n":              "diff --git \"a/d /\\\"x\" \"b/d /\\\"x\"\n",
		"diff --git a/plain b/plain\n":                "diff --git a/plain b/plain\n",
		"diff --git a/a b/c b/a b/c\n":                "diff --git a/a b/c b/a b/c\n",
		"diff --git a/from /x b/to /x\nrename from\n": "diff --git a/from /x b/to /x\nrename from\n",
		" diff --git a/x /y b/x /y\n":                 " diff --git a/x /y b/x /y\n",
		"-diff --git a/x /y b/x /y\n":                 "-diff --git a/x /y b/x /y\n",
		"diff --git a/x /y b/x /y":                    "diff --git a/x /y b/x /y",
		long:                                          long,
		"":                                            "",
	} {
		var out strings.Builder
		if err := quoteHeaders(&out, strings.NewReader(in)); err != nil || out.String() != want {
			t.Errorf("%.80q became %.80q, %v; want %.80q", in, out.String(), err, want)
		}
	}
}
