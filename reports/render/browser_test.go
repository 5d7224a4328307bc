package render

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	tab "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium with one tab.
type browser struct {
	t   *testing.T
	ctx context.Context // the tab

	mu       sync.Mutex
	requests []string
	said     []string // by the console: exceptions, violations of the policy
	dialogs  int
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
	noScript      bool
	bypassCSP     bool
}

// missing ends a test whose tool is not there. Only `make test AGENTS=`, where npm cannot be reached, may do without one.
func missing(t *testing.T, what string) {
	t.Helper()
	if agents, given := os.LookupEnv("AGENTS"); given && agents == "" {
		t.Skipf("%s is missing", what)
	}
	t.Fatalf("%s is missing: make test-tools", what)
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	var program string
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		missing(t, "Chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	send(b, network.Enable, network.EnableParams{})
	send(b, log.Enable, cdp.Empty{})
	return b
}

// patience bounds one thing that is asked of the browser.
const patience = time.Minute

// send gives the browser a command of the DevTools protocol.
func send[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, command, params) })
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, string(e.Type))
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text)
	case *tab.EventJavascriptDialogOpening:
		b.dialogs++
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open loads a page from a file, as somebody does who has downloaded it, and returns when it is loaded.
func (b *browser) open(html string, l look) (url string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		b.t.Fatal(err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.do(chromedp.Navigate("about:blank")) // another size of a long page would be waited for
	b.mu.Lock()
	b.requests, b.said, b.dialogs = nil, nil, 0
	b.mu.Unlock()
	send(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript})
	send(b, tab.SetBypassCSP, tab.SetBypassCSPParams{Enabled: l.bypassCSP})
	b.do(chromedp.Navigate("file://" + file))
	return "file://" + file
}

// eval runs a script in the page and returns its result.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// quiet checks that the page asked for nothing and complained about nothing.
func (b *browser) quiet(url string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if r != url && r != "data:," {
			b.t.Errorf("a request: %.200s", r)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("the page itself was not seen: nothing would be")
	}
	for _, s := range b.said {
		b.t.Errorf("the console says: %.300s", s)
	}
	if b.dialogs > 0 {
		b.t.Error("text became a script")
	}
}

// violation is what axe-core found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// axe checks the page as it is now by the rules of WCAG 2.2 AA and best practice.
func (b *browser) axe() []violation {
	b.t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "build", "tools", "axe.min.js"))
	if err != nil {
		missing(b.t, "axe-core")
	}
	found := eval[string](b, string(source)+"\n;axe.run(document).then(r => JSON.stringify(r.violations))")
	var list []violation
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// screenshot leaves a picture where YOLO_SCREENSHOTS says, for people to look at.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("YOLO_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
