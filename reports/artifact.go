package reports

import (
	"errors"
	"os"
	"syscall"
)

// ErrNotRegular is returned for an artifact that is no regular file.
var ErrNotRegular = errors.New("not a regular file")

// OpenArtifact opens a file of an output folder. The folder may have come from elsewhere: nothing outside of it is read, no symlink is followed, and
// nothing is waited for, as a pipe without a writer would have it. The caller closes the file.
func OpenArtifact(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() { // opening a device can have effects
		return nil, ErrNotRegular
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = ErrNotRegular // it was exchanged meanwhile
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
