package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// API is a model's API that the gateway can serve to an agent at http://ADDR/NAME.
type API struct {
	Name    string
	Dialect wire.Dialect
	// Upstream is the vendor's base URL, without the version that begins the path of every request (/v1, /v1beta). Empty for an API of
	// the user's.
	Upstream string
	// Keys are the variables in which people keep a key for it. Where several are set the first one counts, as the vendor's own client has it.
	Keys []Key
	// KeyVar is the one of them that every client knows; the agent has the placeholder there.
	KeyVar string
	// BaseVars are the variables by which clients learn the base URL; BasePath is what they expect at its end.
	BaseVars []string
	BasePath string
}

// APIs are those that have a name. OpenAI's dialect is spoken by many more: [Custom].
func APIs() []API {
	return []API{
		{
			Name: "anthropic", Dialect: wire.Anthropic, Upstream: "https://api.anthropic.com",
			Keys: []Key{
				bearer("ANTHROPIC_AUTH_TOKEN"),
				{Variable: "ANTHROPIC_API_KEY", Header: "X-Api-Key"},
				{Variable: "CLAUDE_CODE_OAUTH_TOKEN", Header: "Authorization", Prefix: "Bearer ", Beta: []string{"oauth-2025-04-20"}, Shown: true},
			},
			KeyVar: "ANTHROPIC_API_KEY", BaseVars: []string{"ANTHROPIC_BASE_URL"},
		},
		{
			Name: "openai", Dialect: wire.OpenAI, Upstream: "https://api.openai.com",
			Keys:   []Key{bearer("CODEX_API_KEY"), bearer("OPENAI_API_KEY")},
			KeyVar: "OPENAI_API_KEY", BaseVars: []string{"OPENAI_BASE_URL", "OPENAI_API_BASE"}, BasePath: "/v1",
		},
		{
			Name: "gemini", Dialect: wire.Gemini, Upstream: "https://generativelanguage.googleapis.com",
			Keys: []Key{
				{Variable: "GEMINI_API_KEY", Header: "X-Goog-Api-Key"},
				{Variable: "GOOGLE_API_KEY", Header: "X-Goog-Api-Key"},
			},
			KeyVar: "GEMINI_API_KEY", BaseVars: []string{"GOOGLE_GEMINI_BASE_URL"},
		},
		openAILike("openrouter", "https://openrouter.ai/api"),
		openAILike("mistral", "https://api.mistral.ai"),
		openAILike("deepseek", "https://api.deepseek.com"),
		openAILike("groq", "https://api.groq.com/openai"),
		openAILike("xai", "https://api.x.ai"),
	}
}

// openAILike is an API in OpenAI's dialect whose variables are called after it.
func openAILike(name, upstream string) API {
	prefix := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return API{
		Name: name, Dialect: wire.OpenAI, Upstream: upstream,
		Keys:   []Key{bearer(prefix + "_API_KEY")},
		KeyVar: prefix + "_API_KEY", BaseVars: []string{prefix + "_BASE_URL", prefix + "_API_BASE"}, BasePath: "/v1",
	}
}

// FindAPI returns the API of this name from [APIs].
func FindAPI(name string) (API, bool) {
	all := APIs()
	if i := slices.IndexFunc(all, func(a API) bool { return a.Name == name }); i >= 0 {
		return all[i], true
	}
	return API{}, false
}

// Names lists the names of [APIs].
func Names() []string {
	var names []string
	for _, a := range APIs() {
		names = append(names, a.Name)
	}
	return names
}

// Custom is an API of the user's that speaks one of the dialects. Its variables are called after it: NAME_API_KEY and NAME_BASE_URL. A name
// whose variables belong to one of [APIs] is an error: a key would go to two places.
func Custom(name string, dialect wire.Dialect) (API, error) {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`).MatchString(name) {
		return API{}, errors.New("the name must be lower-case letters, digits and dashes")
	}
	api := openAILike(name, "")
	switch dialect {
	case wire.OpenAI:
	case wire.Anthropic:
		api.Dialect, api.BasePath, api.BaseVars = dialect, "", api.BaseVars[:1]
		api.Keys[0] = Key{Variable: api.KeyVar, Header: "X-Api-Key"}
	case wire.Gemini:
		api.Dialect, api.BasePath, api.BaseVars = dialect, "", api.BaseVars[:1]
		api.Keys[0] = Key{Variable: api.KeyVar, Header: "X-Goog-Api-Key"}
	default:
		return API{}, fmt.Errorf("%q is no dialect: want openai, anthropic or gemini", string(dialect))
	}
	for _, known := range APIs() {
		for _, variable := range append(api.BaseVars, api.KeyVar) {
			if _, taken := known.Key(variable); taken || slices.Contains(known.BaseVars, variable) {
				return API{}, fmt.Errorf("%s is a variable of %s; take another name", variable, known.Name)
			}
		}
	}
	return api, nil
}

// Key returns the kind of key that a variable holds.
func (a API) Key(variable string) (Key, bool) {
	i := slices.IndexFunc(a.Keys, func(k Key) bool { return k.Variable == variable })
	if i < 0 {
		return Key{}, false
	}
	return a.Keys[i], true
}

// KeyVars lists the variables that can hold a key for it.
func (a API) KeyVars() []string {
	var names []string
	for _, k := range a.Keys {
		names = append(names, k.Variable)
	}
	return names
}

// With returns the API as it is told to an agent for which the gateway uses this kind of key.
func (a API) With(k Key) API {
	if k.Shown {
		a.KeyVar = k.Variable
	}
	return a
}

// BaseURL is what clients inside are told, when the gateway listens at addr.
func (a API) BaseURL(addr string) string { return "http://" + addr + "/" + a.Name + a.BasePath }

// Env is what clients inside need to find the API at addr, as NAME=VALUE.
func (a API) Env(addr string) []string {
	env := []string{a.KeyVar + "=" + placeholder}
	for _, name := range a.BaseVars {
		env = append(env, name+"="+a.BaseURL(addr))
	}
	return env
}

// CheckBase reads a base URL as people write it for a client of this dialect and returns it as the gateway wants it: without a slash at the
// end, and without the version that begins the path of every request anyway.
func CheckBase(dialect wire.Dialect, text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "", errors.New("must be NAME=URL with an https:// or http:// URL")
	case u.User != nil:
		return "", errors.New("holds a user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("must not have a query or fragment")
	case isLoopback(u.Hostname()):
		return "", errors.New("is this machine's own loopback, which a container cannot reach")
	}
	base := strings.TrimRight(u.EscapedPath(), "/")
	if strings.ContainsAny(base, "%;\\") || base != "" && path.Clean(base) != base {
		return "", errors.New("must have a plain path, without .. and escapes")
	}
	for _, last := range []string{"/messages", "/completions", "/responses"} {
		if strings.HasSuffix(base, last) {
			return "", fmt.Errorf("must end before the method: without %s", last)
		}
	}
	versions := []string{"/v1"}
	if dialect == wire.Gemini {
		versions = []string{"/v1beta", "/v1alpha", "/v1"}
	}
	for _, version := range versions {
		if rest, ok := strings.CutSuffix(base, version); ok {
			base = rest
			break
		}
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + base, nil
}

func isLoopback(name string) bool {
	addr, err := netip.ParseAddr(name)
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return err == nil && addr.Unmap().IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
