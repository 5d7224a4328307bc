package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/yolo-run/yolo-run/runner"
)

// The scripts run this test's own binary under the name yolo-run, which then is the program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"yolo-run": main, "interrupted": interrupted, "hungup": hungup, "unread": unread})
}

// interrupted is a program that gets SIGINT, is asked politely by SIGTERM while it cleans up, and then loses its user's patience.
func interrupted() {
	ctx, stop := withSignals(context.Background())
	defer stop()
	signalSelf(syscall.SIGINT)
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
	signalSelf(syscall.SIGTERM)
	signalSelf(syscall.SIGINT)
	select {}
}

// hungup is a program whose terminal closes, of which it is told twice.
func hungup() {
	ctx, stop := withSignals(context.Background())
	signalSelf(syscall.SIGHUP)
	<-ctx.Done()
	signalSelf(syscall.SIGHUP)
	stop() // waits for what was received
	fmt.Println(context.Cause(ctx))
	os.Exit(runner.ExitCode(nil, context.Cause(ctx)))
}

// unread is a program that goes on when nobody reads its standard error.
func unread() {
	outliveReaders()
	_, err := fmt.Fprintln(os.Stderr, "anybody?")
	fmt.Println(err)
}

func signalSelf(s syscall.Signal) {
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		panic(err)
	}
}

func TestScripts(t *testing.T) {
	home := t.TempDir()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			// A home that is not the scripts' folder, which they use as the workspace.
			env.Setenv("HOME", home)
			env.Setenv("ANTHROPIC_API_KEY", "sk-ant-canary-of-the-environment")
			env.Setenv("HOSTILE", "a\x1b[31m\u202eb")
			env.Setenv("NL", "\n")
			env.Setenv("CR", "\r")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code,
			"fits": fits,
		},
	})
}

// code runs a command and compares its exit code: `code 2 yolo-run --nope`.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // testscript returns it unwrapped
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// fits checks that a text has at most so many lines and columns: `fits stdout 50 80`.
func fits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fits file lines columns")
	}
	var rows, columns int
	_, err := fmt.Sscan(args[1]+" "+args[2], &rows, &columns)
	ts.Check(err)
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	if len(lines) > rows {
		ts.Fatalf("%d lines, want at most %d", len(lines), rows)
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > columns {
			ts.Fatalf("%d columns, want at most %d: %s", n, columns, line)
		}
	}
}
