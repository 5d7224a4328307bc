package workspace

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// form is a value that must not leave, as it is or written in another way.
type form struct{ text, how string }

// shortSecret is the length, in bytes, under which only the plain value is looked for: what is left of a short one in another writing is anywhere.
const shortSecret = 8

// secretForms are the writings of secrets that nobody uses by accident. Who hides one on purpose has many more, and a network to try it on: this finds
// what was copied from a log, a URL, a header, a Kubernetes manifest.
func secretForms(secrets []string) []form {
	var forms []form
	for _, s := range secrets {
		if s == "" {
			continue
		}
		add := func(text, how string) {
			if !slices.ContainsFunc(forms, func(f form) bool { return f.text == text }) {
				forms = append(forms, form{text, how})
			}
		}
		add(s, "")
		if len(s) < shortSecret {
			continue
		}
		for _, b64 := range base64Forms(s) {
			add(b64, " in base64")
			add(strings.NewReplacer("+", "-", "/", "_").Replace(b64), " in base64")
		}
		add(hex.EncodeToString([]byte(s)), " in hexadecimal")
		add(strings.ToUpper(hex.EncodeToString([]byte(s))), " in hexadecimal")
		add(url.QueryEscape(s), " as in a URL")
		add(url.PathEscape(s), " as in a URL")
		if quoted, err := json.Marshal(s); err == nil {
			add(string(quoted[1:len(quoted)-1]), " as in JSON")
		}
		reversed := []byte(s)
		slices.Reverse(reversed)
		add(string(reversed), " backwards")
	}
	return forms
}

// base64Forms are what base64 makes of a value that begins at any place of a larger one: three writings, without the characters that its neighbours
// have a part in.
func base64Forms(s string) []string {
	var forms []string
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), s...))
		from := (before*8 + 5) / 6
		to := (before + len(s)) * 8 / 6
		forms = append(forms, text[from:to])
	}
	return forms
}

// formIn returns the first form that is in a text.
func formIn(s string, forms []form) (form, bool) {
	i := slices.IndexFunc(forms, func(f form) bool { return strings.Contains(s, f.text) })
	if i < 0 {
		return form{}, false
	}
	return forms[i], true
}
