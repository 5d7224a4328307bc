package ci

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// minMaskedLine is the length of the shortest line of a longer secret that is masked by itself: a key in JSON has lines with one brace,
// and a log in which every brace is *** helps nobody.
const minMaskedLine = 4

// Mask keeps a secret out of the step's log: the whole of it, every line of it, and what base64 and URLs make of them. It must be called
// before anything that may hold the secret is printed.
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
		for _, v := range []string{
			p,
			base64.RawStdEncoding.EncodeToString([]byte(p)), // without padding it is found with padding too
			base64.RawURLEncoding.EncodeToString([]byte(p)),
			url.QueryEscape(p),
			url.PathEscape(p),
		} {
			if !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}
