package policy

import (
	"slices"
	"strings"
)

// Uploads says what kind of host an entry of the allowlist opens, if everybody may leave something there for somebody else to fetch, such as
// "code forge"; else it returns "". The agent's own account is not needed for that: it can bring one along. The list is of what is widely
// used and can never be whole.
func Uploads(entry string) string {
	host, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(entry)), ":")
	host, wildcard := strings.CutPrefix(strings.TrimSuffix(host, "."), "*.")
	if host == "" {
		return ""
	}
	for _, group := range uploadHosts() {
		for _, known := range group.hosts {
			below := host == known || strings.HasSuffix(host, "."+known)
			above := wildcard && strings.HasSuffix(known, "."+host)
			if below || above {
				return group.kind
			}
		}
	}
	// Registries have many hosts and mirrors; most say in their names what they are.
	words := strings.FieldsFunc(host, func(r rune) bool { return r == '.' || r == '-' })
	if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(registryWords(), strings.TrimRight(word, "0123456789")) }) {
		return "registry of packages or images"
	}
	return ""
}

type uploadGroup struct {
	kind  string
	hosts []string // with all their subdomains
}

func uploadHosts() []uploadGroup {
	return []uploadGroup{
		{"code forge", []string{
			"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "gitea.com", "dev.azure.com", "visualstudio.com", "sourceforge.net", "sr.ht",
			"gitee.com", "huggingface.co",
		}},
		{"object store", []string{
			"amazonaws.com", "storage.googleapis.com", "core.windows.net", "r2.cloudflarestorage.com", "digitaloceanspaces.com", "backblazeb2.com",
			"wasabisys.com", "aliyuncs.com", "linodeobjects.com", "firebaseio.com", "supabase.co",
		}},
		{"paste site or file drop", []string{
			"pastebin.com", "paste.ee", "paste.rs", "hastebin.com", "dpaste.org", "dpaste.com", "termbin.com", "0x0.st", "transfer.sh", "file.io",
			"gofile.io", "catbox.moe", "wetransfer.com", "dropbox.com", "dropboxapi.com", "drive.google.com", "docs.google.com", "www.googleapis.com",
		}},
		{"chat or webhook", []string{
			"slack.com", "discord.com", "discordapp.com", "telegram.org", "chat.googleapis.com", "webhook.office.com", "webhook.site", "pipedream.net",
			"requestbin.com", "zapier.com", "ifttt.com", "sendgrid.com", "mailgun.net",
		}},
		{"tunnel to anywhere", []string{"ngrok.io", "ngrok.app", "ngrok-free.app", "trycloudflare.com", "workers.dev", "interact.sh", "oast.fun", "vercel.app", "netlify.app"}},
	}
}

func registryWords() []string {
	return []string{"registry", "npm", "npmjs", "yarnpkg", "pypi", "crates", "rubygems", "nuget", "packagist", "docker", "ghcr", "quay", "gcr", "ecr"}
}
