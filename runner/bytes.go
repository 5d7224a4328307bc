package runner

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Bytes is a size. It is written as 6g, 512m, 1.5g, 4MiB or a plain number of bytes; the multiples are binary, as in docker run.
type Bytes int64

const (
	kib Bytes = 1 << (10 * (iota + 1))
	mib
	gib
	tib
)

var (
	errNotSize = errors.New("not a size; write it like 512m, 6g or 4MiB")
	errTooBig  = errors.New("larger than 8 EiB")
)

// ParseBytes reads what [Bytes.String] writes, and the other forms of a size.
func ParseBytes(s string) (Bytes, error) {
	digits := strings.TrimRight(strings.ToLower(strings.TrimSpace(s)), "bikmgt ")
	unit := strings.TrimSpace(strings.ToLower(strings.TrimSpace(s))[len(digits):])
	multiple, ok := multipleOf(unit)
	if !ok || strings.Trim(digits, "0123456789.") != "" {
		return 0, errNotSize
	}
	// A rational keeps 1.5g exact and cannot overflow before it is compared.
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, errNotSize
	}
	r.Mul(r, new(big.Rat).SetInt64(int64(multiple)))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsInt64() {
		return 0, errTooBig
	}
	return Bytes(n.Int64()), nil
}

func multipleOf(unit string) (Bytes, bool) {
	switch unit {
	case "", "b":
		return 1, true
	case "k", "kb", "kib":
		return kib, true
	case "m", "mb", "mib":
		return mib, true
	case "g", "gb", "gib":
		return gib, true
	case "t", "tb", "tib":
		return tib, true
	}
	return 0, false
}

// String writes the size with the largest unit that divides it, so that it can be read back exactly: 6g, 1536m, 1000.
func (b Bytes) String() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{tib, "t"}, {gib, "g"}, {mib, "m"}, {kib, "k"}} {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Human writes the size for people, with at most one decimal: 6 GiB, 1.5 MiB, 700 B.
func (b Bytes) Human() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{tib, "TiB"}, {gib, "GiB"}, {mib, "MiB"}, {kib, "KiB"}} {
		if b >= u.size {
			n := math.Round(float64(b)/float64(u.size)*10) / 10
			return fmt.Sprintf("%s %s", strconv.FormatFloat(n, 'f', -1, 64), u.name)
		}
	}
	return fmt.Sprintf("%d B", int64(b))
}

// plural writes a number of things: 1 file, 2 files.
func plural[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// UnmarshalText is how the environment and the configuration file set a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := ParseBytes(string(text))
	if err != nil {
		return err
	}
	*b = n
	return nil
}

// Set and Type make *Bytes a flag value.
func (b *Bytes) Set(s string) error { return b.UnmarshalText([]byte(s)) }

// Type names the value in usage texts.
func (b *Bytes) Type() string { return "size" }
