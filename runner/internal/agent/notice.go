package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// NoticePath is where the notice lies inside, whatever else the agent is told it by.
const NoticePath = wire.Dir + "/notice"

// MaxNotice bounds a notice, in bytes: it becomes an argument (128 KiB at most, execve(2)) and a part of every request.
const MaxNotice = 16 << 10

// maxNoticeNames bounds each list of a notice.
const maxNoticeNames = 50

// Notice tells an agent where it is, so that it does not spend its time on finding out: what it may reach, who it is, what becomes of its
// work. hidden are the globs of files that look empty; model says that the gateway serves one. Everything in it is the user's own policy.
func Notice(spec policy.Spec, hidden []string, model bool) string {
	var b strings.Builder
	b.WriteString("You run in a sandbox without anybody to ask. What it closes stays closed:\n")
	b.WriteString("- Network: " + reachable(spec, model) + "\n")
	if spec.Egress != policy.Audit {
		b.WriteString("  A denied attempt fails at once, is final and is recorded. Do not repeat it and do not look for a way round; go on without, or say in your answer what you need.\n")
	}
	b.WriteString("- You are an ordinary user. There is no root, no sudo and no container engine.\n")
	b.WriteString("- The workspace lies below /workspace. What you change there is handed over as a patch when you end, whether you commit or not; changes elsewhere are lost.\n")
	hidden = slices.DeleteFunc(slices.Clone(hidden), func(glob string) bool { return strings.HasPrefix(glob, "!") })
	if len(hidden) > 0 {
		fmt.Fprintf(&b, "- Files with secrets look empty (%s). Leave them as they are.\n", some(hidden))
	}
	return b.String()
}

// reachable says in a sentence what the policy opens.
func reachable(spec policy.Spec, model bool) string {
	open := slices.Concat(spec.Allow, spec.Internal)
	switch {
	case spec.Egress == policy.Audit:
		return "open to public hosts, and all of it is recorded."
	case (spec.Egress == policy.None || len(open) == 0) && model:
		return "nothing can be reached but your model."
	case spec.Egress == policy.None || len(open) == 0:
		return "nothing can be reached."
	case len(spec.Deny) > 0:
		return "only these can be reached, by name over TCP: " + some(open) + "; not " + some(spec.Deny) + "."
	}
	return "only these can be reached, by name over TCP: " + some(open) + "."
}

// some lists values, as many as a notice has room for.
func some(values []string) string {
	if more := len(values) - maxNoticeNames; more > 0 {
		return strings.Join(values[:maxNoticeNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(values, ", ")
}
