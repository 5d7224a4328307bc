package runner

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// modelAPI is a model's API that the run serves to its agent.
type modelAPI struct {
	agent.API
	upstream string
	from     string // what names the upstream, where that is not the vendor's own: --upstream, or a variable
	key      *modelKey
}

// trusted reports whether the user has named the upstream: then it may be a private address.
func (a modelAPI) trusted() bool { return a.upstream != a.Upstream }

// modelKey is where the key of an API comes from. Its value is read when the run needs it.
type modelKey struct {
	agent.Key
	secret Secret
	from   string
}

// Where a key comes from, in words.
const (
	fromSecret      = "--secret"
	fromEnvironment = "environment"
)

// modelAPIs are the APIs that a run serves: the agent's own, those whose key --secret gives, and those that --upstream names. A key that only lies in
// the runner's environment is for the agent that was chosen by name: a script must not be able to spend what nobody gave it.
func (c Config) modelAPIs(machine host) ([]modelAPI, error) {
	f := &faults{}
	m := &modelList{cfg: c, machine: machine, faults: f}
	m.addUpstreams()
	m.addSecrets()
	m.addOwn()
	for i := range m.list {
		m.addAmbientUpstream(&m.list[i])
	}
	slices.SortFunc(m.list, func(a, b modelAPI) int { return cmp.Compare(a.Name, b.Name) })
	return m.list, errors.Join(f.list...)
}

// modelList grows the list of APIs.
type modelList struct {
	cfg     Config
	machine host
	faults  *faults
	list    []modelAPI
}

// find returns the API of this name, which it adds if it is not there.
func (m *modelList) find(api agent.API) *modelAPI {
	i := slices.IndexFunc(m.list, func(a modelAPI) bool { return a.Name == api.Name })
	if i < 0 {
		i = len(m.list)
		m.list = append(m.list, modelAPI{API: api, upstream: api.Upstream})
	}
	return &m.list[i]
}

func (m *modelList) addUpstreams() {
	for _, entry := range m.cfg.Upstreams {
		api, base, err := parseUpstream(entry)
		if err == nil && m.find(api).from != "" {
			err = errors.New("is given twice")
		}
		if err != nil {
			m.faults.add("--upstream", redactUpstream(entry), err)
			continue
		}
		served := m.find(api)
		served.upstream, served.from = base, "--upstream"
	}
}

// redactUpstream hides what may be a password or a key, also where the name was forgotten.
func redactUpstream(entry string) string {
	name, value, ok := strings.Cut(entry, "=")
	if !ok || strings.ContainsAny(name, ":/@?") {
		return redactURL(entry)
	}
	return name + "=" + redactURL(value)
}

// parseUpstream reads NAME=URL, and NAME=DIALECT+URL for an API that has no name of ours.
func parseUpstream(entry string) (agent.API, string, error) {
	name, text, ok := strings.Cut(entry, "=")
	if !ok {
		return agent.API{}, "", errors.New("must be NAME=URL, such as anthropic=https://api.example.com")
	}
	dialect := ""
	if before, after, found := strings.Cut(text, "+"); found && !strings.Contains(before, ":") {
		dialect, text = before, after
	}
	api, known := agent.FindAPI(name)
	switch {
	case known && dialect != "" && dialect != string(api.Dialect):
		return api, "", fmt.Errorf("%s speaks %s; take another name for an API that speaks %s", name, api.Dialect, dialect)
	case !known && dialect == "":
		return api, "", withHint(fmt.Errorf("is not known: want one of %s", strings.Join(agent.Names(), ", ")),
			"for an API of your own say what it speaks (openai, anthropic or gemini), as in mycorp=openai+https://llm.example.com/v1")
	case !known:
		var err error
		if api, err = agent.Custom(name, wire.Dialect(dialect)); err != nil {
			return api, "", err
		}
	}
	base, err := agent.CheckBase(api.Dialect, text)
	return api, base, err
}

// addSecrets gives each API the key that --secret has for it.
func (m *modelList) addSecrets() {
	for _, entry := range m.cfg.Secrets {
		secret, err := ParseSecret(entry)
		if err != nil {
			continue // validateSecrets says so
		}
		api, key, ok := m.apiOf(secret.Name)
		if !ok {
			continue // for the gate only
		}
		served := m.find(api)
		if served.key != nil {
			m.faults.addf("--secret", secret.Name, "%s has a key already, %s; leave one out", api.Name, served.key.Variable)
			continue
		}
		served.key = &modelKey{Key: key, secret: secret, from: fromSecret}
	}
}

// apiOf returns the API whose key a variable holds.
func (m *modelList) apiOf(variable string) (agent.API, agent.Key, bool) {
	apis := agent.APIs()
	for _, served := range m.list { // those of the user's
		apis = append(apis, served.API)
	}
	for _, api := range apis {
		if key, ok := api.Key(variable); ok {
			return api, key, true
		}
	}
	return agent.API{}, agent.Key{}, false
}

// addOwn serves the API that the agent is made for, with a key out of the environment where no --secret has one. An agent that would find
// no model is a fault.
func (m *modelList) addOwn() {
	a, err := agent.Resolve(m.cfg.agentName(), m.cfg.Command)
	if err != nil || a.API == "" || m.cfg.setsAny(a.Elsewhere) {
		return
	}
	api, _ := agent.FindAPI(a.API)
	for _, key := range api.Keys {
		if m.machine.getenv(key.Variable) == "" {
			continue
		}
		if served := m.find(api); served.key == nil {
			served.key = &modelKey{Key: key, secret: Secret{Name: key.Variable, Env: key.Variable}, from: fromEnvironment}
		}
		return
	}
	if !m.cfg.names(api) && !m.cfg.mountsInto(a.ConfigDir) {
		m.faults.add("--agent", a.Name, withHint(
			fmt.Errorf("there is no key for its model: none of %s is set", strings.Join(api.KeyVars(), ", ")),
			fmt.Sprintf("set one, or say --secret %s=file:PATH; the agent never sees it. A gateway of your own: --upstream %s=URL", api.KeyVar, api.Name)))
	}
}

// addAmbientUpstream follows the variable by which the vendor's own clients are told another base URL. Without it a key for a company's
// gateway would be sent to the vendor.
func (m *modelList) addAmbientUpstream(served *modelAPI) {
	if served.from != "" {
		return
	}
	for _, variable := range served.BaseVars {
		text := m.machine.getenv(variable)
		if text == "" {
			continue
		}
		base, err := agent.CheckBase(served.Dialect, text)
		if err != nil {
			m.faults.add(variable, redactURL(text), withHint(err, "correct it, or name the URL by --upstream "+served.Name+"=URL"))
			return
		}
		served.upstream, served.from = base, variable
		return
	}
}

// setsAny reports whether --env gives the agent one of these variables.
func (c Config) setsAny(variables []string) bool {
	return slices.ContainsFunc(c.Env, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(variables, name)
	})
}

// names reports whether --secret or --upstream is about an API, whether they are right or not.
func (c Config) names(api agent.API) bool {
	about := func(names ...string) func(string) bool {
		return func(entry string) bool {
			name, _, _ := strings.Cut(entry, "=")
			return slices.Contains(names, name)
		}
	}
	return slices.ContainsFunc(c.Upstreams, about(api.Name)) || slices.ContainsFunc(c.Secrets, about(api.KeyVars()...))
}

// agentName is the agent's name where it was left to its default, too.
func (c Config) agentName() string {
	if len(c.Command) > 0 {
		return c.Agent
	}
	return cmp.Or(c.Agent, AgentClaude)
}

// mountsInto reports whether --mount puts something into a folder: then the agent may find a login there.
func (c Config) mountsInto(folder string) bool {
	return slices.ContainsFunc(c.Mounts, func(entry string) bool {
		_, target, _, err := splitMount(entry)
		if err == nil {
			target, err = mountTarget(target)
		}
		return err == nil && folder != "" && within(folder, target)
	})
}

// validateModels checks what decides about models: APIs, keys, budgets and prices.
func (c Config) validateModels(f *faults, machine host) {
	apis, err := c.modelAPIs(machine)
	if err != nil {
		f.list = append(f.list, err)
	}
	for _, served := range apis {
		c.checkEnvOf(f, served)
		if served.key == nil {
			continue
		}
		c.checkKey(f, *served.key, machine)
	}
	if err == nil && len(apis) == 0 {
		c.refuseBudgets(f)
	}
	c.validatePrices(f)
}

// checkKey reads a key and says what is wrong with it, never what it is. That a --secret cannot be read is said by validateSecrets.
func (c Config) checkKey(f *faults, key modelKey, machine host) {
	value, err := key.secret.value(machine)
	if err != nil || value == "" && key.secret.Env != "" {
		return
	}
	if err := agent.CheckKey(value); err != nil && key.from == fromSecret {
		f.add("--secret", key.Variable, err)
	} else if err != nil {
		f.add(key.Variable, "", err)
	}
}

// checkEnvOf refuses --env for what the gateway is there for: a key in clear, or another way to the model.
func (c Config) checkEnvOf(f *faults, served modelAPI) {
	for _, entry := range c.Env {
		name, _, _ := strings.Cut(entry, "=")
		if _, isKey := served.Key(name); isKey {
			f.add("--env", name, withHint(errors.New("would show the agent a key"), "leave it out: the gateway adds the key to the agent's requests"))
		}
		if slices.Contains(served.BaseVars, name) {
			f.add("--env", name, withHint(errors.New("would lead the agent past the gateway, which has the key"), "name the URL by --upstream "+served.Name+"=URL"))
		}
	}
}

// refuseBudgets refuses budgets that nobody would count.
func (c Config) refuseBudgets(f *faults) {
	for _, o := range []struct {
		option string
		given  bool
	}{
		{"--max-tokens", c.MaxTokens > 0},
		{"--max-requests", c.MaxRequests > 0},
		{"--max-cost-usd", c.MaxCostUSD > 0},
		{"--allow-server-tools", c.AllowServerTools},
	} {
		if o.given {
			f.add(o.option, "", withHint(errors.New("the run serves no model, so that nobody would count"),
				"leave it out, or give the run a model: --secret OPENAI_API_KEY=env:OPENAI_API_KEY, or --upstream"))
		}
	}
}

// readKeys returns the APIs as the gateway gets them, with their keys, and the keys by themselves. The result is for the gateway's standard
// input alone.
func readKeys(served []modelAPI, machine host) (models []wire.ModelAPI, keys []string, err error) {
	for _, s := range served {
		m := wire.ModelAPI{Name: s.Name, Dialect: s.Dialect, Upstream: s.upstream, Trusted: s.trusted()}
		if s.key != nil {
			value, err := s.key.secret.value(machine)
			if err == nil {
				err = agent.CheckKey(value)
			}
			if err != nil {
				return nil, nil, &UsageError{Option: s.key.Variable, Err: plainPathError(err)}
			}
			m.Headers, m.Beta = []wire.Header{s.key.Head(value)}, s.key.Beta
			keys = append(keys, value)
		}
		models = append(models, m)
	}
	return models, keys, nil
}

// agentAPIs are the served APIs as the agent is told of them.
func agentAPIs(served []modelAPI) []agent.API {
	var list []agent.API
	for _, s := range served {
		api := s.API
		if s.key != nil {
			api = api.With(s.key.Key)
		}
		list = append(list, api)
	}
	return list
}

// checkModelAddr makes sure that the agent is sent to a port of its own loopback: what stands there goes into its environment.
func checkModelAddr(addr string, served int) error {
	if served == 0 {
		return nil
	}
	if parsed, err := netip.ParseAddrPort(addr); err != nil || !parsed.Addr().IsLoopback() || parsed.Port() == 0 {
		return fmt.Errorf("gateway serves no model: it says %q", addr)
	}
	return nil
}
