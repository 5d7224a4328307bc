package policy_test

import (
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

func TestHostsThatTakeUploadsFromAnyone(t *testing.T) {
	for entry, want := range map[string]string{
		"github.com": "code forge", "api.github.com:443": "code forge", "*.GitHub.com": "code forge", "github.com.": "code forge",
		"*.com":                               "code forge",
		"my-bucket.s3.amazonaws.com":          "object store",
		"*.blob.core.windows.net":             "object store",
		"hooks.slack.com:443":                 "chat or webhook",
		"0x0.st":                              "paste site or file drop",
		"registry.example.com":                "registry of packages or images",
		"registry-1.example.com":              "registry of packages or images",
		"pypi.example.com":                    "registry of packages or images",
		"*.npm.example.com:8443":              "registry of packages or images",
		"notgithub.com":                       "",
		"github.com.example.org":              "",
		"docs.example.com":                    "",
		"*.example.com":                       "",
		"192.0.2.7:443":                       "",
		"[2001:db8::1]:443":                   "",
		"registrymirror.example.com":          "",
		"":                                    "",
		"*.":                                  "",
		"developer.dropbox.com:443,8443":      "paste site or file drop",
		"company-internal.tunnel.workers.dev": "tunnel to anywhere",
	} {
		if got := policy.Uploads(entry); got != want {
			t.Errorf("Uploads(%q) = %q, want %q", entry, got, want)
		}
	}
}
