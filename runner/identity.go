package runner

import (
	"fmt"
	"os"
	"syscall"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// fallbackID is the agent's user where neither the host's user nor the workspace's owner will do.
const fallbackID = 1000

// identity is who the agent is inside: never 0.
type identity struct{ uid, gid int }

func (i identity) owner() sandbox.Owner { return sandbox.Owner{UID: i.uid, GID: i.gid} }

// chooseIdentity returns --user, else the host's user and its primary group. An ID of 0, or the group that owns the engine's socket, gives
// way to the workspace's owner and group, and those to 1000 or the next: with that group the agent could use the engine where its socket
// shows up.
func chooseIdentity(user string, ownerUID, ownerGID int, socket string) (identity, error) {
	engineGID := groupOf(socket)
	if user != "" {
		uid, gid, err := ParseUser(user)
		if err == nil && gid == engineGID {
			err = fmt.Errorf("group %d owns the engine's socket: whoever has it is root on the engine's machine", gid)
		}
		return identity{uid, gid}, err
	}
	return identity{
		uid: firstBut(0, os.Getuid(), ownerUID, fallbackID),
		gid: firstBut(engineGID, os.Getgid(), ownerGID, fallbackID, fallbackID+1),
	}, nil
}

// firstBut returns the first candidate that is neither 0 nor the forbidden one.
func firstBut(forbidden int, candidates ...int) int {
	for _, id := range candidates {
		if id > 0 && id != forbidden {
			return id
		}
	}
	return fallbackID
}

// groupOf returns the group of a file, -1 where there is none.
func groupOf(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Gid)
}
