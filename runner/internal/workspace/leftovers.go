package workspace

import "path"

// leftovers are what the agent took away and a patch leaves where it is: ignored and hidden files, FIFOs, repositories, empty folders. Nothing
// new can come to a path where one of them stands, above it or below it; with such a change in it the patch would not apply to the tree that it was made from.
type leftovers struct {
	files map[string]bool
	above map[string]bool // every folder above one
}

// file notes a leftover that is no folder.
func (l *leftovers) file(p string) {
	if l.files == nil {
		l.files = map[string]bool{}
	}
	l.files[p] = true
	l.folder(p)
}

// folder notes one that may be a folder, to which new files may come.
func (l *leftovers) folder(p string) {
	if l.above == nil {
		l.above = map[string]bool{}
	}
	for dir := path.Dir(p); dir != "." && !l.above[dir]; dir = path.Dir(dir) {
		l.above[dir] = true
	}
}

// inTheWayOf reports whether nothing can be put at a path.
func (l *leftovers) inTheWayOf(p string) bool {
	if l.above[p] || l.files[p] {
		return true
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if l.files[dir] {
			return true
		}
	}
	return false
}
