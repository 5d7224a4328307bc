package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

func TestNoticeSaysWhatIsOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		spec  policy.Spec
		model bool
		want  []string
		not   string
	}{
		"names":    {policy.Spec{Egress: policy.Enforce, Allow: []string{"a.example", "*.b.example:443"}, Internal: []string{"db:5432"}}, true, []string{"a.example, *.b.example:443, db:5432.", "is final"}, "; not"},
		"denied":   {policy.Spec{Egress: policy.Enforce, Allow: []string{"*.b.example"}, Deny: []string{"c.b.example"}}, true, []string{"*.b.example; not c.b.example."}, ""},
		"nothing":  {policy.Spec{Egress: policy.Enforce}, true, []string{"nothing can be reached but your model."}, ""},
		"no model": {policy.Spec{Egress: policy.Enforce}, false, []string{"nothing can be reached."}, "model"},
		"none":     {policy.Spec{Egress: policy.None, Allow: []string{"a.example"}}, true, []string{"nothing can be reached but your model."}, "a.example"},
		"audit":    {policy.Spec{Egress: policy.Audit}, true, []string{"open to public hosts"}, "is final"},
	} {
		got := Notice(tc.spec, []string{"*.pem", "!x.pem"}, tc.model)
		for _, want := range append(tc.want, "/workspace", "no root", "whether you commit or not", "(*.pem)") {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, got)
			}
		}
		if line, _, _ := strings.Cut(got[strings.Index(got, "- Network"):], "\n- "); tc.not != "" && strings.Contains(line, tc.not) {
			t.Errorf("%s: %q stands in\n%s", name, tc.not, got)
		}
	}
}

func TestNoticeIsBounded(t *testing.T) {
	spec := policy.Spec{Egress: policy.Enforce}
	for i := range 10_000 {
		spec.Allow = append(spec.Allow, fmt.Sprintf("%d.%s.example", i, strings.Repeat("x", 60)))
	}
	got := Notice(spec, nil, true)
	if len(got) > MaxNotice || !strings.Contains(got, " and 9950 more") {
		t.Errorf("%d bytes", len(got))
	}
}
