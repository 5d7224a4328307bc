package reports

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Write writes r as report.json: indented, without null for an empty list, and with everything that is not [Printable] escaped, so
// that the file can be shown on a terminal. r itself is not changed.
func (r *Report) Write(w io.Writer) error {
	b, err := encode(r.withLists(), "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Line returns the event as a line of network.jsonl, newline included, with everything that is not [Printable] escaped.
func (e Event) Line() ([]byte, error) {
	b, err := encode(e, "")
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return b, nil
}

// Digest is the SHA-256, in hexadecimal, of the policy's compact JSON with an empty sha256: what stands in [Policy.SHA256].
// Equal policies have equal digests whatever run they belong to.
func (p Policy) Digest() (string, error) {
	p = p.withLists()
	p.SHA256 = ""
	b, err := encode(p, "")
	if err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b, []byte("\n")))
	return hex.EncodeToString(sum[:]), nil
}

// encode is the one way in which this package makes JSON: HTML characters stay readable, a newline ends it.
func encode(v any, indent string) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escape(buf.Bytes()), nil
}

// escape writes what is not printable as \uXXXX. Outside of strings JSON is ASCII, and the encoder has escaped what lies below
// U+0020 already, so every hit is inside a string.
func escape(b []byte) []byte {
	if plain(b) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n' || Printable(r):
			out = append(out, b[:n]...)
		case r > 0xffff: // a surrogate pair, RFC 8259 section 7
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

// plain is the fast path of escape: nearly every line is ASCII.
func plain(b []byte) bool {
	for _, c := range b {
		if c >= 0x7f {
			return false
		}
	}
	return true
}

// withLists returns a copy in which every list that the schema requires is there, if empty.
func (r *Report) withLists() *Report {
	c := *r
	c.FailOn = list(c.FailOn)
	c.Phases = list(c.Phases)
	c.Agent.Command = list(c.Agent.Command)
	c.Workspace.Hidden = list(c.Workspace.Hidden)
	c.Changes.Files = list(c.Changes.Files)
	c.Changes.NotCarried = list(c.Changes.NotCarried)
	c.Network.Destinations = append([]Destination{}, c.Network.Destinations...)
	for i := range c.Network.Destinations {
		c.Network.Destinations[i].Processes = list(c.Network.Destinations[i].Processes)
	}
	c.Gate.Findings = list(c.Gate.Findings)
	c.Usage.Models = list(c.Usage.Models)
	c.Transcript.Steps = list(c.Transcript.Steps)
	c.SelfTest = list(c.SelfTest)
	c.Policy = c.Policy.withLists()
	c.Artifacts = list(c.Artifacts)
	c.Errors = list(c.Errors)
	return &c
}

func (p Policy) withLists() Policy {
	p.AllowedDomains = list(p.AllowedDomains)
	p.DeniedDomains = list(p.DeniedDomains)
	p.AllowedInternal = list(p.AllowedInternal)
	return p
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// InertJSON returns a value of JSON on one line, with everything in its strings that is not [Printable] escaped, so that it can be shown on
// a terminal. The value is the same, but for bytes that are not UTF-8.
func InertJSON(value []byte) ([]byte, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return nil, err
	}
	return escape(line.Bytes()), nil
}
