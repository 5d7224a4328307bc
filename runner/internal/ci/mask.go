package ci

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// minMaskedLine is the length of the shortest line of a longer secret that is masked by itself: a key in JSON has lines with one brace,
// and a log in which every brace is *** helps nobody.
const minMaskedLine = 4

// minMaskedPart is the length of the shortest part of an encoding that is masked: fewer characters turn up by chance.
const minMaskedPart = 8

// Mask keeps a secret out of the step's log: the whole of it, every line of it, and what base64, URLs, JSON and hex make of them. It must be
// called before anything that may hold the secret is printed.
func (g *GitHub) Mask(secret string) error {
	if g == nil {
		return nil
	}
	for _, v := range masks(secret) {
		g.action.AddMask(v)
	}
	return g.flush()
}

// masks lists the values to hide, each once. GitHub masks line by line, so a value with several lines would never be found as it is.
func masks(secret string) []string {
	secret = strings.TrimRight(secret, "\r\n")
	if strings.TrimSpace(secret) == "" {
		return nil
	}
	plain := []string{secret}
	if strings.Contains(secret, "\n") {
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) >= minMaskedLine {
				plain = append(plain, line)
			}
		}
	}
	var out []string
	seen := map[string]bool{"": true}
	for _, p := range plain {
		for _, v := range encodings(p) {
			if !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// encodings lists a text and the forms in which programs print it.
func encodings(s string) []string {
	list := []string{
		s,
		base64.RawStdEncoding.EncodeToString([]byte(s)), // without padding it is found with padding too
		base64.RawURLEncoding.EncodeToString([]byte(s)),
		url.QueryEscape(s),
		url.PathEscape(s),
		jsonText(s, true),
		jsonText(s, false),
	}
	parts := []string{hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	for before := range 3 {
		parts = append(parts, inside(base64.RawStdEncoding, s, before), inside(base64.RawURLEncoding, s, before))
	}
	for _, p := range parts {
		if len(p) >= minMaskedPart {
			list = append(list, p)
		}
	}
	return list
}

// inside is what base64 makes of s within a longer text, such as the user:password of an Authorization header, when the number of bytes
// before it leaves that remainder by three. The characters at the ends that depend on its neighbours are left out.
func inside(e *base64.Encoding, s string, before int) string {
	encoded := e.EncodeToString(append(make([]byte, before), s...))
	first := (before*8 + 5) / 6
	last := (before + len(s)) * 8 / 6
	return encoded[first:max(first, last)]
}

// jsonText is s as it stands between the quotes of a JSON string. Some writers escape <, > and & too, which is no fault.
func jsonText(s string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if err := e.Encode(s); err != nil {
		return "" // strings always encode
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}
