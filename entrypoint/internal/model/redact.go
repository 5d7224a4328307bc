package model

import (
	"bytes"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// minSecret is the shortest value that is looked for: shorter ones are no keys, and stand everywhere.
const minSecret = 8

// redactor knows the keys. An upstream that repeats what it was sent, as error pages and test servers do, would hand them to the agent.
type redactor struct{ secrets [][]byte }

// add takes the values of headers: all of each, and the last word, which is the key where a scheme stands before it.
func (r *redactor) add(headers []wire.Header) {
	for _, h := range headers {
		words := strings.Fields(h.Value)
		if len(words) == 0 {
			continue
		}
		if key := words[len(words)-1]; len(key) >= minSecret {
			r.secrets = append(r.secrets, []byte(key))
		}
	}
}

func (r *redactor) holds(s string) bool {
	for _, secret := range r.secrets {
		if strings.Contains(s, string(secret)) {
			return true
		}
	}
	return false
}

// clean blots out keys in a text.
func (r *redactor) clean(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, string(secret), strings.Repeat("*", len(secret)))
	}
	return s
}

// redaction is one body on its way. It keeps back only what may be the beginning of a key, so that a stream stays one.
type redaction struct {
	*redactor
	held []byte
}

// next returns what may be passed on of a piece and what was kept back before; keys in it are blotted out, the length stays. The result is
// valid until the next call.
func (r *redaction) next(piece []byte) []byte {
	if len(r.held) > 0 {
		piece = append(r.held, piece...)
		r.held = nil
	}
	for _, secret := range r.secrets {
		for rest := piece; ; {
			i := bytes.Index(rest, secret)
			if i < 0 {
				break
			}
			for j := range secret {
				rest[i+j] = '*'
			}
			rest = rest[i+len(secret):]
		}
	}
	keep := r.beginning(piece)
	if keep == 0 {
		return piece
	}
	r.held = bytes.Clone(piece[len(piece)-keep:])
	return piece[:len(piece)-keep]
}

// rest is what was kept back when the body ends: no key after all.
func (r *redaction) rest() []byte { return r.held }

// beginning is the length of the longest end of piece that a key begins with.
func (r *redaction) beginning(piece []byte) int {
	longest := 0
	for _, secret := range r.secrets {
		for n := min(len(secret)-1, len(piece)); n > longest; n-- {
			if bytes.HasSuffix(piece, secret[:n]) {
				longest = n
			}
		}
	}
	return longest
}
