package render

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browserModels are the pages that a browser looks at.
func browserModels(t *testing.T) map[string]Model {
	return map[string]Model{
		"whole": whole(), "hostile": fullPage(3, hostile), "long": fullPage(2, strings.Repeat("W", 2000)), "broken": models()["broken"],
		"gate": models()["gate"], "5000 files": manyFiles(t, 5000),
	}
}

func TestPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	for name, m := range browserModels(t) {
		html := render(t, HTML{}, m)
		for _, l := range []look{{width: 1280, height: 1400}, {width: 360, height: 1400, dark: true}} {
			url := b.open(html, l)
			b.quiet(url)
			load := eval[float64](b, "performance.getEntriesByType('navigation')[0].loadEventStart")
			t.Logf("%s at %d: %d bytes, loaded after %.0f ms", name, l.width, len(html), load)
			b.screenshot(fmt.Sprintf("%s %d", name, l.width))
			fits(b, name, l)
			eval[chromedp.Void](b, "document.querySelectorAll('details').forEach((d, i) => { d.open = i < 400 })")
			fits(b, name+" unfolded", l)
		}
	}
}

// fits checks that nobody has to scroll sideways.
func fits(b *browser, name string, l look) {
	b.t.Helper()
	if n := eval[int](b, "document.documentElement.scrollWidth"); n > int(l.width) {
		widest := eval[string](b, `[...document.querySelectorAll('main *')].reduce((a, e) => e.getBoundingClientRect().right > a.getBoundingClientRect().right ? e : a).outerHTML.slice(0, 200)`)
		b.t.Errorf("%s is %d wide at %d: %s", name, n, l.width, widest)
	}
}

// An attack that got into the page all the same could do nothing, and the same attack works where the policy is not.
func TestPolicyStopsScripts(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	attack := `(async () => {
  window.hits = 0;
  const attempt = async (f) => { try { await f() } catch {} };
  await attempt(() => { const s = document.createElement('script'); s.textContent = 'window.hits++'; document.body.append(s) });
  await attempt(() => { const b = document.createElement('button'); b.setAttribute('onclick', 'window.hits++'); document.body.append(b); b.click() });
  await attempt(() => { const d = document.createElement('div'); d.innerHTML = '<i></i>'; window.hits += d.children.length });
  await attempt(() => { const s = document.createElement('style'); s.textContent = 'body{--hit:1}'; document.body.append(s);
    window.hits += getComputedStyle(document.body).getPropertyValue('--hit') === '1' ? 1 : 0 });
  await attempt(() => fetch('` + server.URL + `', { mode: 'no-cors' }));
  return window.hits;
})()`
	b := newBrowser(t)
	html := render(t, HTML{}, whole())
	b.open(html, look{width: 1280, height: 900})
	if n := eval[int](b, attack); n != 0 || asked.Load() != 0 {
		t.Errorf("%d attacks worked, %d requests left", n, asked.Load())
	}
	before, after, _ := strings.Cut(html, `<meta http-equiv="Content-Security-Policy"`)
	_, after, _ = strings.Cut(after, ">")
	b.open(before+after, look{width: 1280, height: 900})
	if n := eval[int](b, attack); n != 4 || asked.Load() != 1 {
		t.Errorf("the control: %d of 4 attacks worked, %d requests left", n, asked.Load())
	}
}

func TestPageIsAccessible(t *testing.T) {
	b := newBrowser(t)
	pages := browserModels(t)
	pages["5000 files"] = manyFiles(t, 100) // what is checked is the same, and axe-core is slow with many
	for name, m := range pages {
		html := render(t, HTML{}, m)
		for _, l := range []look{{width: 1280, height: 900, bypassCSP: true}, {width: 360, height: 900, dark: true, bypassCSP: true}} {
			b.open(html, l)
			eval[chromedp.Void](b, "document.querySelectorAll('details').forEach((d, i) => { d.open = i < 60 })")
			for _, v := range b.axe() {
				for i, n := range v.Nodes {
					if i == 3 {
						break
					}
					t.Errorf("%s at %d: %s (%s): %.200s: %.300s", name, l.width, v.ID, v.Help, n.HTML, n.FailureSummary)
				}
			}
		}
	}
	eval[chromedp.Void](b, "document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"data:,\"><p style=\"color:#999;background:#aaa\">pale</p>')")
	found := map[string]bool{}
	for _, v := range b.axe() {
		found[v.ID] = true
	}
	if !found["image-alt"] || !found["color-contrast"] {
		t.Errorf("the control: an image without words and a pale text were not found: %v", found)
	}
}

func TestPageCanBeUsed(t *testing.T) {
	b := newBrowser(t)
	b.open(render(t, HTML{}, manyFiles(t, 60)), look{width: 1280, height: 900})
	is := func(what, script string) {
		t.Helper()
		if !eval[bool](b, "Boolean("+script+")") {
			t.Errorf("%s: %s", what, script)
		}
	}
	is("it begins as the system says", "document.getElementById('theme').textContent === 'Dark' && getComputedStyle(document.body).colorScheme.includes('light')")
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	is("the button makes it dark", "getComputedStyle(document.documentElement).colorScheme === 'dark' && document.getElementById('theme').textContent === 'Light'")

	is("all files are there", "document.querySelectorAll('.leaf:not([hidden])').length === 60")
	b.do(chromedp.SendKeys(chromedp.CSS("#find"), "version2/handler_004"))
	is("a part of a path finds files", "document.querySelectorAll('.leaf:not([hidden])').length === 10")
	is("their differences are left", "document.querySelectorAll('.file:not([hidden])').length === 10")
	is("the number is said", "document.getElementById('said').textContent === '10 files'")
	eval[chromedp.Void](b, "document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input'))")
	is("an empty search shows all", "document.querySelectorAll('.leaf:not([hidden])').length === 60")

	b.do(chromedp.Click(chromedp.CSS("#fold")))
	is("folded", "document.querySelectorAll('.file[open]').length === 0")
	eval[chromedp.Void](b, "location.hash = '#f7'")
	is("a link unfolds", "document.querySelector('#f7').open")
	b.do(chromedp.Click(chromedp.CSS("#unfold")))
	is("unfolded", "document.querySelectorAll('.file:not([open])').length === 0")

	// The clipboard is not there for a page without focus; what was to be copied is the same.
	eval[chromedp.Void](b, "document.querySelector('.allow').open = true; window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text) }")
	b.do(chromedp.Click(chromedp.CSS("[data-copy=allow-config]")), chromedp.Click(chromedp.CSS(".flag .copy")))
	is("copied", "copied[0] === 'allowed-domain:\\n  - paste.example\\n  - \"github.com:22\"' && copied[1] === '--allowed-domain paste.example'")
	is("no word of a failure", "document.querySelector('[data-copy=allow-config]').textContent === 'Copied'")

	eval[chromedp.Void](b, "document.querySelector('.skip').focus()")
	is("the first link skips to the report", "document.querySelector('a').matches('.skip') && document.querySelector('.skip').getBoundingClientRect().left > 0")
}

func TestPageWithoutScript(t *testing.T) {
	b := newBrowser(t)
	url := b.open(render(t, HTML{}, whole()), look{width: 1280, height: 900, noScript: true})
	b.quiet(url)
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}) // the page's own has not run
	if n := eval[int](b, "[...document.querySelectorAll('button, input')].filter(e => e.offsetParent !== null).length"); n != 0 {
		t.Errorf("%d buttons that do nothing", n)
	}
	if n := eval[int](b, "document.querySelectorAll('.file[open] tr').length"); n < 30 {
		t.Errorf("%d lines", n)
	}
}

func TestPageCanBePrinted(t *testing.T) {
	b := newBrowser(t)
	b.open(render(t, HTML{}, whole()), look{width: 1280, height: 900, dark: true})
	closed := "document.querySelector('#policy:not([open]) table').checkVisibility() ? document.querySelector('#policy table').getBoundingClientRect().height : 0"
	if n := eval[int](b, "Math.round("+closed+")"); n != 0 {
		t.Fatalf("the policy is open before printing: %d", n)
	}
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if n := eval[int](b, "Math.round("+closed+")"); n < 20 {
		t.Errorf("what is folded is not printed: %d pixels", n)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
	if err != nil {
		t.Fatal(err)
	}
	pages := bytes.Count(pdf, []byte("/Type /Page\n")) + bytes.Count(pdf, []byte("/Type /Page/"))
	t.Logf("%d bytes, %d pages", len(pdf), pages)
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || len(pdf) < 20_000 || pages < 2 {
		t.Errorf("%d bytes, %d pages", len(pdf), pages)
	}
}
