package entrypoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestScriptsRunByTheirFirstLine(t *testing.T) {
	for _, tc := range []struct {
		name, prompt, want string
	}{
		{"sh", "#!/bin/sh\necho \"$0\" \"$@\"", "PROMPT a b c\n"},
		{"a blank before the interpreter", "#! /bin/sh\necho \"$@\"", "a b c\n"},
		{"one argument", "#!/bin/sh -eu\nfalse; echo reached", ""},
		{"env splits its argument", "#!/usr/bin/env -S sh -u\necho \"$1\"", "a b\n"},
		{"another language", "#!/usr/bin/awk -f\nBEGIN { print ARGV[1] }", "a b\n"},
		{"no line", "echo \"$1\"; echo ${BASH_VERSION:+bash}", "a b\nbash\n"},
		{"no newline at the end", "printf %s \"$2\"", "c"},
		{"an empty interpreter", "#!\necho \"$1\"", "a b\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRole(t, "a b", "c")
			r.prompt, r.config.Shell = []byte(tc.prompt), true
			want := strings.ReplaceAll(tc.want, "PROMPT", filepath.Join(r.dir, "prompt"))
			if got := r.run(t); got.stdout != want || got.stderr != "" {
				t.Errorf("%q, want %q; %s", got.stdout, want, got.stderr)
			}
		})
	}
}

func TestScriptsRunBySHWhereTheImageHasNoBash(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	r := newRole(t)
	if err := os.Symlink(sh, filepath.Join(r.dir, "sh")); err != nil {
		t.Fatal(err)
	}
	r.prompt, r.config.Shell = []byte("echo $0"), true
	r.config.Env = []string{"PATH=" + r.dir}
	if got := r.run(t); got.code != 0 || got.stdout != filepath.Join(r.dir, "prompt")+"\n" {
		t.Errorf("exit code %d, %q; %s", got.code, got.stdout, got.stderr)
	}
}

// scriptHeads are first bytes of scripts; INTERP stands for a program that prints its arguments.
func scriptHeads() map[string]string {
	long := strings.Repeat("x", 300)
	pad := func(n int) string { return strings.Repeat(" ", n) }
	return map[string]string{
		"plain":                          "#!INTERP\n",
		"no newline":                     "#!INTERP",
		"blanks everywhere":              "#! \tINTERP \t \n",
		"one argument":                   "#!INTERP -a\n",
		"an argument with blanks":        "#!INTERP  -a  b\tc  \n",
		"an argument without newline":    "#!INTERP -a b",
		"only blanks":                    "#!   \nx",
		"nothing":                        "#!\n",
		"no line":                        "echo\n",
		"one byte":                       "#",
		"a long argument":                "#!INTERP " + long + "\n",
		"a long argument ends in blanks": "#!INTERP x" + pad(300) + "y\n",
		"a NUL in the argument":          "#!INTERP a\x00b\n",
		"a NUL after the interpreter":    "#!INTERP\x00 a\n",
		"a relative interpreter":         "#!no-such-interpreter\n",
		"an interpreter with CR":         "#!INTERP\r\n",
		"a cut interpreter":              "#!/" + long + "\n",
		"a cut interpreter, then blanks": "#!" + pad(250) + "INTERP\n",
		"nothing but blanks":             "#!" + pad(400),
	}
}

// TestScriptLinesAreReadAsTheKernelReadsThem has the kernel run the same lines.
func TestScriptLinesAreReadAsTheKernelReadsThem(t *testing.T) {
	dir := t.TempDir()
	interp, script := filepath.Join(dir, "interp"), filepath.Join(dir, "script")
	printer := []byte("#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\"\n") // its own line adds nothing but its path
	if err := os.WriteFile(interp, printer, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, head := range scriptHeads() {
		t.Run(name, func(t *testing.T) {
			head := strings.ReplaceAll(head, "INTERP", interp)
			if err := os.WriteFile(script, []byte(head), 0o700); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), script).Output()
			got := parseScript([]byte(head[:min(len(head), scriptHead)]))
			switch {
			case errors.Is(err, syscall.ENOEXEC):
				if got != nil {
					t.Errorf("%q, the kernel sees no script", got)
				}
			case errors.Is(err, syscall.ENOENT):
				if len(got) == 0 || got[0] == interp {
					t.Errorf("%q, the kernel finds no interpreter", got)
				}
			case err != nil:
				t.Fatal(err)
			default:
				if want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(append(got, script), want) {
					t.Errorf("%q, the kernel's arguments are %q", got, want)
				}
			}
		})
	}
}

func FuzzScriptLine(f *testing.F) {
	for _, head := range scriptHeads() {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		head := text[:min(len(text), scriptHead)]
		got := parseScript(head)
		if got == nil {
			return
		}
		if len(got) > 2 || !strings.HasPrefix(string(head), "#!") || !strings.Contains(got[0], "/") {
			t.Fatalf("parseScript(%q) = %q", head, got)
		}
		for _, part := range got {
			if part == "" || strings.ContainsAny(part, "\n\x00") || strings.Trim(part, " \t") != part {
				t.Fatalf("parseScript(%q) = %q", head, got)
			}
		}
		if strings.ContainsAny(got[0], " \t") {
			t.Fatalf("parseScript(%q): the interpreter is %q", head, got[0])
		}
	})
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		name             string
		image, set, want []string
	}{
		{"defaults", nil, nil, []string{"PATH=" + defaultPath, "LANG=C.UTF-8"}},
		{
			"the image's own",
			[]string{"PATH=/go/bin", "LANG=de_DE", "GOFLAGS=-mod=mod", "EMPTY="},
			nil,
			[]string{"PATH=/go/bin", "LANG=de_DE", "GOFLAGS=-mod=mod", "EMPTY="},
		},
		{
			"proxies are dropped in any case",
			[]string{"http_proxy=a", "HTTPS_PROXY=b", "No_Proxy=c", "ALL_PROXY=d", "ftp_proxy=e", "npm_config_https_proxy=f", "PROXY=kept", "PROXY_URL=kept"},
			nil,
			[]string{"PATH=" + defaultPath, "LANG=C.UTF-8", "PROXY=kept", "PROXY_URL=kept"},
		},
		{
			"the run's over the image's",
			[]string{"HOME=/root", "PATH=/bin", "A=1", "nonsense"},
			[]string{"HOME=/home/agent", "B=x=y", "B=2", "HTTP_PROXY=wanted"},
			[]string{"PATH=/bin", "LANG=C.UTF-8", "HOME=/home/agent", "A=1", "B=2", "HTTP_PROXY=wanted"},
		},
	} {
		if got := environment(tc.image, tc.set); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTheAgentHasThatEnvironment(t *testing.T) {
	r := newRole(t, "env")
	r.env = append(r.env, "https_proxy=http://proxy.example", "FROM_IMAGE=1", "HOME=/root")
	r.config.Env = []string{"HOME=/home/agent", "CI=1"}
	got := r.run(t)
	for line, want := range map[string]bool{"HOME=/home/agent": true, "CI=1": true, "FROM_IMAGE=1": true, "LANG=C.UTF-8": true, "HOME=/root": false} {
		if strings.Contains("\n"+got.stdout, "\n"+line+"\n") != want {
			t.Errorf("%s in the environment: %t, want %t", line, !want, want)
		}
	}
	if strings.Contains(got.stdout, "proxy") {
		t.Errorf("a proxy is in the environment:\n%s", got.stdout)
	}
}
