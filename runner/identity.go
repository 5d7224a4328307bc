package runner

import (
	"os"
	"syscall"
)

// fallbackID is the agent's user where neither the host's user nor the workspace's owner will do.
const fallbackID = 1000

// identity is who the agent is inside: never 0.
type identity struct{ uid, gid int }

// chooseIdentity returns --user, else the host's user and its primary group. An ID of 0, or the group that owns the engine's socket, gives way to the workspace's
// owner and group, and those to 1000: with that group the agent could use the engine where its socket shows up.
func chooseIdentity(user string, ownerUID, ownerGID int, socket string) (identity, error) {
	if user != "" {
		uid, gid, err := ParseUser(user)
		return identity{uid, gid}, err
	}
	socketGID := -1
	if info, err := os.Stat(socket); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			socketGID = int(stat.Gid)
		}
	}
	pick := func(forbidden int, candidates ...int) int {
		for _, id := range candidates {
			if id > 0 && id != forbidden {
				return id
			}
		}
		return fallbackID
	}
	return identity{
		uid: pick(-1, os.Getuid(), ownerUID),
		gid: pick(socketGID, os.Getgid(), ownerGID),
	}, nil
}
