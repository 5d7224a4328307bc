package workspace

import (
	"syscall"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func statInode(path string) (wire.CollectStat, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return wire.CollectStat{}, err
	}
	return wire.CollectStat{Dev: st.Dev, Ino: st.Ino, CtimeNs: st.Ctim.Nano()}, nil
}
