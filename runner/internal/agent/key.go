package agent

import (
	"errors"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// placeholder is what an agent has in place of a key: clients do not start without one, and the gateway takes it off again.
const placeholder = "yolo-run-placeholder"

// Key is a variable that holds a key, and the header that the key goes into.
type Key struct {
	Variable string
	Header   string
	Prefix   string
	Beta     []string // values of anthropic-beta without which the vendor refuses this kind of key
	// Shown: with this kind of key the vendor's client asks in another way, so that the placeholder must stand in this variable.
	Shown bool
}

func bearer(variable string) Key {
	return Key{Variable: variable, Header: "Authorization", Prefix: "Bearer "}
}

// Head returns the header with the key in it.
func (k Key) Head(value string) wire.Header {
	return wire.Header{Name: k.Header, Value: k.Prefix + value}
}

// CheckKey refuses what cannot be the value of a header (RFC 9110, 5.5): a line break in a key would be another header. The error never
// quotes the value.
func CheckKey(value string) error {
	if value == "" {
		return errors.New("is empty")
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\n' || c == '\r':
			return errors.New("holds a line break in the middle: is it one key?")
		case c <= ' ' || c >= 0x7f:
			return errors.New("holds a space, a control character or one beyond ASCII: no key has these")
		}
	}
	return nil
}
