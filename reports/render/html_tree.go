package render

import (
	"path"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// node is a folder or a file of the tree.
type node struct {
	Name        string
	Kids        []node // of a folder
	Folder      bool
	Open        bool
	Count       string // files below
	Link        string // of the file's differences
	Letter      string
	Status      string
	Plus, Minus string
	Note        string
}

const (
	treeOpen   = 60  // files: with more of them folders are closed at first
	treeDepth  = 16  // deeper ones stay one name: nesting costs browsers more than text
	treeWeight = 145 // bytes of the page that a file takes beside its name
)

// leaf is a file on its way into the tree.
type leaf struct {
	rest string
	node node
}

// newTree makes the tree of the files that there is room for, and says how many there was none for.
func newTree(files []reports.FileChange, diffs []fileDiff, room int) (tree []node, more string) {
	links := map[string]bool{}
	for _, d := range diffs {
		links[d.ID] = true
	}
	var leaves []leaf
	last := ""
	for i, f := range files {
		folder, name := path.Split(f.Path)
		if room -= treeWeight + weight(show(name)); folder != last {
			room -= treeWeight + weight(show(folder))
			last = folder
		}
		if room < 0 {
			more = "… and " + plural(int64(len(files)-i), "more file") + " in report.json"
			break
		}
		n := node{Letter: statusLetter(f.Status), Status: show(f.Status)}
		n.Plus, n.Minus = stat(f)
		if f.Binary {
			n.Note = "binary"
		}
		if id := "f" + strconv.Itoa(i); links[id] {
			n.Link = id
		}
		leaves = append(leaves, leaf{f.Path, n})
	}
	tree = branch(leaves, 0, len(files) <= treeOpen)
	if len(tree) == 1 {
		tree[0].Open = true
	}
	return tree, more
}

// branch makes the nodes of one folder, in the order of their first files.
func branch(leaves []leaf, depth int, open bool) []node {
	var nodes []node
	for len(leaves) > 0 {
		head, _, isFolder := strings.Cut(leaves[0].rest, "/")
		if !isFolder || depth >= treeDepth {
			n := leaves[0].node
			n.Name = show(leaves[0].rest)
			nodes = append(nodes, n)
			leaves = leaves[1:]
			continue
		}
		// Git's order keeps the files of a folder together.
		n := 1
		for n < len(leaves) && strings.HasPrefix(leaves[n].rest, head+"/") {
			n++
		}
		below := make([]leaf, n)
		for i, l := range leaves[:n] {
			below[i] = leaf{l.rest[len(head)+1:], l.node}
		}
		nodes = append(nodes, folder(head, below, depth, open))
		leaves = leaves[n:]
	}
	return nodes
}

// folder is one with its files. A folder that holds nothing but one folder is one name with it.
func folder(name string, below []leaf, depth int, open bool) node {
	kids := branch(below, depth+1, open)
	f := node{Name: show(name), Kids: kids, Folder: true, Open: open, Count: count(int64(len(below)))}
	if len(kids) == 1 && kids[0].Folder {
		f.Name, f.Kids = f.Name+"/"+kids[0].Name, kids[0].Kids
	}
	return f
}
