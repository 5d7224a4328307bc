package sandbox

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

// seccompProfile is moby's default profile of the version in go.mod, whatever the engine's age, without the 32-bit sub-architectures and
// with the socket families UNIX, INET, INET6 and NETLINK only. TestSeccompProfileIsMobysDefaultHardened generates it.
//
//go:embed seccomp.json
var seccompProfile []byte

// securityOptions are those of every container of ours.
func securityOptions() ([]string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, seccompProfile); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return []string{"no-new-privileges", "seccomp=" + compact.String()}, nil
}
