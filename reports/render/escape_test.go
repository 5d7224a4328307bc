package render

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

func TestEscapes(t *testing.T) {
	tests := []struct{ name, in, visible, log, code, text string }{
		{"empty", "", "", "", "", ""},
		{"a path", "src/main_test.go", "src/main_test.go", "src/main_test.go", "`src/main_test.go`", "`src/main_test.go`"},
		{"words", "no rule allows a.test:22", "no rule allows a.test:22", "no rule allows a.test:22", "`no rule allows a.test:22`", "no rule allows a.test:22"},
		{"other alphabets", "naïve файл", "naïve файл", "naïve файл", "`naïve файл`", "naïve файл"},
		{"white space", "a\tb\r\nc", `a\tb\r\nc`, `a\tb\r\nc`, "`a\\tb\\r\\nc`", "`a\\tb\\r\\nc`"},
		{"escape sequence", "\x1b[2J", `\x1b[2J`, `\x1b[2J`, "`\\x1b[2J`", "`\\x1b[2J`"},
		{"C1 and DEL", "\u009b\x7f", `\x9b\x7f`, `\x9b\x7f`, "`\\x9b\\x7f`", "`\\x9b\\x7f`"},
		{"bidi", "a\u202eb", `a\u202eb`, `a\u202eb`, "`a\\u202eb`", "`a\\u202eb`"},
		{"hidden tags", "a\U000e0041", `a\U000e0041`, `a\U000e0041`, "`a\\U000e0041`", "`a\\U000e0041`"},
		{"bad UTF-8", "a\xffb", `a\xffb`, `a\xffb`, "`a\\xffb`", "`a\\xffb`"},
		{"bars", "a|b", "a|b", "a|b", "<code>a&#124;b</code>", "<code>a&#124;b</code>"},
		{"an escaped bar", `a\|b`, `a\|b`, `a\|b`, "<code>a&#92;&#124;b</code>", "<code>a&#92;&#124;b</code>"},
		{"backticks", "a`b", "a`b", "a`b", "<code>a&#96;b</code>", "<code>a&#96;b</code>"},
		{"markup", "<b>", "<b>", "<b>", "<code>&#60;b&#62;</code>", "<code>&#60;b&#62;</code>"},
		{"a mention", "@team", "@team", "@team", "`@team`", "`@team`"},
		{"a link", "see www.evil.test", "see www.evil.test", "see www.evil.test", "`see www.evil.test`", "`see www.evil.test`"},
		{"a command", " ::set-env", " ::set-env", ` \::set-env`, "`\\x20::set-env`", "`\\x20::set-env`"},
		{"a command of the old form", "x ###[e]", "x ###[e]", `x #\#\#[e]`, "<code>x &#35;&#35;&#35;&#91;e&#93;</code>", "<code>x &#35;&#35;&#35;&#91;e&#93;</code>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range []struct {
				name, want string
				f          func(string) string
			}{{"Visible", tt.visible, Visible}, {"Log", tt.log, Log}, {"Code", tt.code, Code}, {"Text", tt.text, Text}} {
				if got := f.f(tt.in); got != f.want {
					t.Errorf("%s: %q, want %q", f.name, got, f.want)
				}
			}
		})
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"", 3, ""}} {
		if got := clip(tt.in, tt.n); got != tt.want {
			t.Errorf("clip(%q, %d) = %q", tt.in, tt.n, got)
		}
	}
	if got := clipLeft("a/b/c/d", 4); got != "…c/d" {
		t.Errorf("clipLeft: %q", got)
	}
}

func FuzzEscapes(f *testing.F) {
	f.Add(hostile)
	f.Add("a\\")
	f.Add("`")
	f.Add("  ")
	f.Fuzz(func(t *testing.T, s string) {
		inertLog(t, Log(s))
		for name, got := range map[string]string{"Visible": Visible(s), "Log": Log(s), "Code": Code(s), "Text": Text(s)} {
			for _, r := range got {
				if !reports.Printable(r) {
					t.Errorf("%s(%q): %U survived", name, s, r)
				}
			}
			if !utf8.ValidString(got) {
				t.Errorf("%s(%q) is not UTF-8", name, s)
			}
		}
		for name, got := range map[string]string{"Code": Code(s), "Text": Text(s)} {
			inner := strings.TrimSuffix(strings.TrimPrefix(got, "<code>"), "</code>")
			if inner == got {
				inner = strings.TrimSuffix(strings.TrimPrefix(got, "`"), "`")
			}
			if strings.ContainsAny(inner, "<>|`") {
				t.Errorf("%s(%q) = %q", name, s, got)
			}
		}
	})
}
