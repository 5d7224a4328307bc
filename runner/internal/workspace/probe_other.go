//go:build !linux

package workspace

import "github.com/yolo-run/yolo-run/entrypoint/wire"

// statInode: an engine runs on Linux, so that on any other system it has files of its own and an overlay is out of the question.
func statInode(string) (wire.CollectStat, error) { return wire.CollectStat{}, ErrElsewhere }
