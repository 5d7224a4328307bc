package runner

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestTheAgentIsNeverRootNorInTheEnginesGroup(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own := groupOf(socket)
	for _, c := range []struct {
		name     string
		user     string
		uid, gid int // the workspace's owner
		socket   string
		refused  bool
	}{
		{name: "workspace of root", socket: "/no/socket"},
		{name: "workspace of somebody", uid: 4242, gid: 4343, socket: "/no/socket"},
		{name: "our group owns the socket", uid: 4242, gid: own, socket: socket},
		{name: "named", user: "7:8", socket: socket},
		{name: "named, with the engine's group", user: "7:" + strconv.Itoa(own), socket: socket, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := chooseIdentity(c.user, c.uid, c.gid, c.socket)
			if (err != nil) != c.refused {
				t.Fatalf("%+v %v", got, err)
			}
			if err == nil && (got.uid <= 0 || got.gid <= 0 || got.gid == groupOf(c.socket)) {
				t.Errorf("%+v, the socket's group is %d", got, groupOf(c.socket))
			}
		})
	}
	if got := firstBut(fallbackID, 0, fallbackID, fallbackID+1); got != fallbackID+1 {
		t.Errorf("with group %d at the engine: %d", fallbackID, got)
	}
}
