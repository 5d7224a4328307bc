package render

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
)

// HTMLLimit is the most that [HTML] writes, in bytes.
const HTMLLimit = 4 << 20

// HTML is report.html: one file that asks for nothing from anywhere. What must be known stands first, the rest is folded; it can be read
// without its script, printed, and used by keyboard. Its policy (CSP) lets only its own style and script act, by their digests; html/template
// escapes by context, and every text of the report went through [Visible] before. With [Model.Dir] it also shows changes.patch and when attempts
// were denied.
type HTML struct{}

var _ Renderer = HTML{}

//go:embed html
var htmlFiles embed.FS

// asset is a part of the page that is ours.
func asset(name string) (string, error) {
	b, err := htmlFiles.ReadFile("html/" + name)
	return string(b), err
}

// Render writes at most [HTMLLimit] bytes, in one Write. What does not fit is counted on the page.
func (HTML) Render(w io.Writer, m Model) error {
	page, err := renderHTML(m)
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	if _, err := w.Write(page); err != nil {
		return fmt.Errorf("html: %w", err)
	}
	return nil
}

func renderHTML(m Model) ([]byte, error) {
	frame, err := newFrame()
	if err != nil {
		return nil, err
	}
	tmpl, err := template.ParseFS(htmlFiles, "html/*.tmpl")
	if err != nil {
		return nil, err
	}
	// Lists know what their rows weigh, but not to the byte. A page that came out too long is made again from less.
	for scale := 1; scale <= 1<<10; scale *= 2 {
		var buf bytes.Buffer
		if err := tmpl.ExecuteTemplate(&buf, "page.tmpl", newHTMLPage(m, frame, scale)); err != nil {
			return nil, err
		}
		if buf.Len() <= HTMLLimit {
			return buf.Bytes(), nil
		}
	}
	return nil, errors.New("the page is over its limit however little it shows")
}

// frame is what every page has.
type frame struct {
	CSP    string
	Style  template.CSS
	Script template.JS
}

func newFrame() (frame, error) {
	style, err := asset("style.css")
	if err != nil {
		return frame{}, err
	}
	script, err := asset("script.js")
	if err != nil {
		return frame{}, err
	}
	return frame{
		// The icon is an empty data: URL, so that no browser asks for one.
		CSP: "default-src 'none'; img-src data:; style-src '" + digest(style) + "'; script-src '" + digest(script) + "'; " +
			"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		Style:  template.CSS(style), //nolint:gosec // our own file
		Script: template.JS(script), //nolint:gosec // our own file
	}, nil
}

// digest is a source expression of Content Security Policy Level 3.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
