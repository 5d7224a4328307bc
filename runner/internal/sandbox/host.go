package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// findHost returns the engine's address as the docker command would choose it: DOCKER_HOST, the current context, the usual sockets.
// testcontainers knows no contexts.
func findHost(getenv func(string) string) (string, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		return host, nil
	}
	configDir := getenv("DOCKER_CONFIG")
	if configDir == "" {
		configDir = filepath.Join(getenv("HOME"), ".docker")
	}
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		if err := readJSON(filepath.Join(configDir, "config.json"), &config); err != nil && !os.IsNotExist(err) {
			return "", fmt.Errorf("docker configuration: %w", err)
		}
		name = config.CurrentContext
	}
	if name != "" && name != "default" {
		return contextHost(configDir, name)
	}
	sockets := []string{"/var/run/docker.sock"}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		sockets = append(sockets, filepath.Join(dir, "docker.sock"))
	}
	for _, socket := range sockets {
		if _, err := os.Stat(socket); err == nil {
			return "unix://" + socket, nil
		}
	}
	return "unix://" + sockets[0], nil
}

// contextHost reads the endpoint of a docker context (docs: "docker context", the metadata store below contexts/meta).
func contextHost(configDir, name string) (string, error) {
	digest := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	path := filepath.Join(configDir, "contexts", "meta", hex.EncodeToString(digest[:]), "meta.json")
	if err := readJSON(path, &meta); err != nil {
		return "", fmt.Errorf("docker context %q: %w", name, err)
	}
	host := meta.Endpoints["docker"].Host
	if host == "" {
		return "", fmt.Errorf("docker context %q has no engine address", name)
	}
	return host, nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
