package model

import (
	"net/http"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// kind is what a request asks for.
type kind int

const (
	kindList      kind = iota // of models, or one model
	kindCount                 // of tokens
	kindMessages              // Anthropic
	kindResponses             // OpenAI
	kindCompact               // OpenAI: a shorter conversation, made by a model
	kindChat                  // OpenAI, and everybody who speaks like it
	kindGenerate              // Gemini
)

// costs reports whether a request of this kind is paid for.
func (k kind) costs() bool { return k >= kindMessages }

// endpoint is one method and path that is open. In the path {id} is one element, {version} one of Gemini's.
type endpoint struct {
	method, path string
	kind         kind
}

// endpoints are all that is open in a dialect.
func endpoints(d wire.Dialect) []endpoint {
	const get, post = http.MethodGet, http.MethodPost
	switch d {
	case wire.Anthropic:
		return []endpoint{
			{post, "/v1/messages", kindMessages},
			{post, "/v1/messages/count_tokens", kindCount},
			{get, "/v1/models", kindList},
			{get, "/v1/models/{id}", kindList},
		}
	case wire.OpenAI:
		return []endpoint{
			{post, "/v1/responses", kindResponses},
			{post, "/v1/responses/compact", kindCompact},
			{post, "/v1/chat/completions", kindChat},
			{get, "/v1/models", kindList},
			{get, "/v1/models/{id}", kindList},
		}
	case wire.Gemini:
		return []endpoint{
			{post, "/{version}/models/{id}:generateContent", kindGenerate},
			{post, "/{version}/models/{id}:streamGenerateContent", kindGenerate},
			{post, "/{version}/models/{id}:countTokens", kindCount},
			{get, "/{version}/models", kindList},
			{get, "/{version}/models/{id}", kindList},
		}
	}
	return nil
}

// match returns the endpoint that a clean path is, and the {id} in it.
func match(d wire.Dialect, method, path string) (e endpoint, id string, ok bool) {
	for _, e := range endpoints(d) {
		if e.method != method {
			continue
		}
		if id, ok := matchPath(e.path, path); ok {
			return e, id, true
		}
	}
	return endpoint{}, "", false
}

func matchPath(pattern, path string) (id string, ok bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return "", false
	}
	for i, segment := range have {
		name, verb, _ := strings.Cut(want[i], ":")
		switch {
		case name == "{id}" && verb != "":
			var found bool
			if id, found = strings.CutSuffix(segment, ":"+verb); !found || id == "" || strings.Contains(id, ":") {
				return "", false
			}
		case name == "{id}":
			id = segment
		case name == "{version}":
			if !slices.Contains([]string{"v1beta", "v1", "v1alpha"}, segment) {
				return "", false
			}
		case segment != want[i]:
			return "", false
		}
	}
	return id, true
}

// isCleanPath accepts /a/b/c of plain elements: nothing that a server behind could decode, join or cut in another way.
func isCleanPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if !isSegment(segment) {
			return false
		}
	}
	return true
}

func isSegment(s string) bool {
	return s != "" && strings.Trim(s, ".") != "" && isPlain(s)
}

// isPlain accepts what means the same in every parser of URLs.
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && strings.IndexByte("-_.:@", c) < 0 {
			return false
		}
	}
	return true
}

// queries are the parameters that may be passed on. Every other one is refused but key, which is Gemini's way of saying who asks: it is dropped.
func queries(d wire.Dialect) []string {
	switch d {
	case wire.Anthropic:
		return []string{"beta", "limit", "before_id", "after_id"}
	case wire.OpenAI:
		return []string{"limit", "after", "before", "order", "client_version"}
	default:
		return []string{"alt", "pageSize", "pageToken"}
	}
}

// cleanQuery returns what of a query is passed on, and the name of a parameter that is not open.
func cleanQuery(d wire.Dialect, raw string) (query, refused string) {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case pair == "", name == "key":
		case !slices.Contains(queries(d), name), len(value) > maxQueryValue, !isPlain(value),
			name == "alt" && value != "sse" && value != "json": // in any other form it could not be metered
			return "", clip(name)
		default:
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&"), ""
}

const maxQueryValue = 256

// open says in words what a dialect serves.
func open(d wire.Dialect) string {
	var list []string
	for _, e := range endpoints(d) {
		list = append(list, e.method+" "+e.path)
	}
	return strings.Join(list, ", ")
}

// join appends the agent's path to the upstream's. A base that already ends in the version, as the vendors' own variables have it, does not get it twice.
func join(base, path string) string {
	version := path[:1+strings.IndexByte(path[1:]+"/", '/')]
	return strings.TrimSuffix(base, version) + path
}
