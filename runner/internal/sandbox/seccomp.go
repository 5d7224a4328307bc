package sandbox

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// seccompProfile is moby's default profile of the version in go.mod, whatever the engine's age, without the 32-bit sub-architectures and
// with the socket families UNIX, INET, INET6 and NETLINK only. TestSeccompProfileIsMobysDefaultHardened generates it.
//
//go:embed seccomp.json
var seccompProfile []byte

// securityOptions are those of every container of ours, for as long as it is being created: release is to be called then.
func (e *Engine) securityOptions() (options []string, release func(), err error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, seccompProfile); err != nil {
		return nil, nil, fmt.Errorf("seccomp profile: %w", err)
	}
	profile, release := compact.String(), func() {}
	if e.facts.Podman {
		if profile, release, err = profileFile(compact.Bytes()); err != nil {
			return nil, nil, err
		}
	}
	return []string{"no-new-privileges", "seccomp=" + profile}, release, nil
}

// profileFile writes the profile for Podman, whose Docker-compatible API takes the path of a file on its own machine where Docker's takes the profile
// itself. Podman reads it while it creates the container, and never again.
func profileFile(profile []byte) (path string, release func(), err error) {
	file, err := os.CreateTemp("", "yolo-run-seccomp-*.json")
	if err != nil {
		return "", nil, fmt.Errorf("seccomp profile: %w", err)
	}
	release = func() { _ = os.Remove(file.Name()) }
	_, err = file.Write(profile)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil { // the engine may be another user's
		release()
		return "", nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return file.Name(), release, nil
}
