package workspace

import (
	"bytes"
	"hash/maphash"
	"regexp"
	"slices"
	"strings"
)

// token is a form of credential that gives itself away. An own table, because the well-kept detectors cost more than the rest of the program
// (docs/dependencies.md has the figures); it has no pattern that guesses.
type token struct {
	name   string
	prefix []string // one of them is in every match: looking for it is cheap
	form   *regexp.Regexp
}

func tokens() []token {
	form := func(name, pattern string, prefix ...string) token {
		return token{name, prefix, regexp.MustCompile(pattern)}
	}
	return []token{
		form("a private key", `-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:,\- \r\n]{64,}`, "-----BEGIN "),
		form("a GitHub token", `\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
		form("a GitLab token", `\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|imt)-[A-Za-z0-9_\-.]{20,}`,
			"glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-", "gloas-", "glimt-"),
		form("an AWS access key", `\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`, "AKIA", "ASIA"),
		form("a Google API key", `\bAIza[A-Za-z0-9_\-]{35}`, "AIza"),
		form("a Google OAuth secret", `\b(?:GOCSPX-[A-Za-z0-9_\-]{28}|ya29\.[A-Za-z0-9_\-]{60,})`, "GOCSPX-", "ya29."),
		form("an Anthropic key", `\bsk-ant-[a-z0-9]+-[A-Za-z0-9_\-]{24,}`, "sk-ant-"),
		form("an OpenAI key", `\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{40,}|\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}`,
			"sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "T3BlbkFJ"),
		form("an OpenRouter key", `\bsk-or-v1-[a-f0-9]{64}`, "sk-or-v1-"),
		form("a Hugging Face token", `\bhf_[A-Za-z]{34}\b`, "hf_"),
		form("a Slack token", `\bxox[abeoprs]-[A-Za-z0-9\-]{20,}|\bxapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{32,}`, "xox", "xapp-"),
		form("a Slack webhook", `hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_\-]{30,}`, "hooks.slack.com/"),
		form("an npm token", `\bnpm_[A-Za-z0-9]{36}\b`, "npm_"),
		form("a PyPI token", `\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_\-]{50,}`, "pypi-AgE"),
		form("a Docker Hub token", `\bdckr_(?:pat|oat)_[A-Za-z0-9_\-]{27,}`, "dckr_"),
		form("a Stripe key", `\b(?:sk|rk)_live_[A-Za-z0-9]{20,}|\bwhsec_[A-Za-z0-9+/]{32,}`, "_live_", "whsec_"),
		form("a SendGrid key", `\bSG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}`, "SG."),
		form("a Shopify token", `\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`, "shpat_", "shpca_", "shppa_", "shpss_"),
		form("a DigitalOcean token", `\bdo[oprt]_v1_[a-f0-9]{64}`, "_v1_"),
		form("a HashiCorp token", `\bhv[sbr]\.[A-Za-z0-9_\-]{24,}|\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,}`, "hvs.", "hvb.", "hvr.", ".atlasv1."),
		form("a Grafana token", `\bglsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|\bglc_[A-Za-z0-9+/]{50,}`, "glsa_", "glc_"),
		form("a Databricks token", `\bdapi[a-f0-9]{32}\b`, "dapi"),
		form("a Linear key", `\blin_(?:api|oauth)_[A-Za-z0-9]{40,}`, "lin_"),
		form("an Atlassian token", `\bATATT3xFfGF0[A-Za-z0-9_\-=]{100,}`, "ATATT3"),
		form("a Sentry token", `\bsntry[su]_[A-Za-z0-9+/=_]{60,}`, "sntry"),
		form("a Tailscale key", `\btskey-[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{20,}`, "tskey-"),
		form("an age key", `\bAGE-SECRET-KEY-1[A-Z0-9]{58}`, "AGE-SECRET-KEY-1"),
	}
}

// maxTokens bounds what is kept of a file with many tokens of one form.
const maxTokens = 1000

// find returns hashes of all different matches that are not mere examples, or one more than maxTokens. All, since a file may begin with those of its old
// version, or with examples.
func (t token) find(seed maphash.Seed, content []byte) []uint64 {
	if !slices.ContainsFunc(t.prefix, func(p string) bool { return bytes.Contains(content, []byte(p)) }) {
		return nil
	}
	var matches []uint64
	seen := map[uint64]bool{}
	for len(matches) <= maxTokens {
		at := t.form.FindIndex(content)
		if at == nil {
			break
		}
		match := content[at[0]:at[1]]
		if sum := maphash.Bytes(seed, match); !seen[sum] && !isExample(string(match)) {
			seen[sum] = true
			matches = append(matches, sum)
		}
		content = content[at[1]:]
	}
	return matches
}

// isExample reports whether a token says so itself, or has too few different characters for one.
func isExample(token string) bool {
	if upper := strings.ToUpper(token); strings.Contains(upper, "EXAMPLE") || strings.Contains(upper, "XXXX") || strings.Contains(upper, "1234567890") {
		return true
	}
	different := map[rune]bool{}
	for _, r := range token[min(len(token), 4):] {
		different[r] = true
	}
	return len(different) < 8
}
