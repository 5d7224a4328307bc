package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scan is what one walk over the workspace found. The types of files come with their names: no file is looked at by itself.
type scan struct {
	hidden []string  // relative, sorted: files and symlinks that the agent sees as empty files
	links  []string  // relative: all symlinks outside of .git
	bare   []string  // relative: folders that are repositories by what is in them and are not called .git
	repos  []gitPath // everything called .git that is a folder or a file, the root's first
}

// gitPath is one .git in the workspace.
type gitPath struct {
	rel  string
	mode fs.FileMode
}

// Hidden lists the files that match the globs, relative and sorted. The first call walks the workspace; later ones return the same.
func (w *Workspace) Hidden(ctx context.Context) ([]string, error) {
	s, err := w.scanOnce(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(s.hidden), nil
}

// scanOnce does not pass ctx on: who comes second must not get the first one's cancellation. The walk is short.
func (w *Workspace) scanOnce(ctx context.Context) (*scan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.scanned()
}

func (w *Workspace) scan() (*scan, error) {
	s := &scan{}
	if err := w.scanFolder(s, "", false); err != nil {
		return nil, fmt.Errorf("look for files to hide: %w", err)
	}
	slices.Sort(s.hidden)
	slices.SortFunc(s.repos, func(a, b gitPath) int { return strings.Compare(a.rel, b.rel) })
	return s, nil
}

// scanFolder visits a folder; inside .git only what a glob can be about.
func (w *Workspace) scanFolder(s *scan, rel string, inGit bool) error {
	all := rel != "" && w.globs.matchFolder(rel)
	entries, err := readFolder(filepath.Join(w.root, rel))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil // what we cannot read the agent, who is no more than we are, cannot read either; or it went away just now
	}
	if err != nil {
		return err
	}
	if !inGit && isRepository(entries) {
		s.bare = append(s.bare, rel)
	}
	for _, e := range entries {
		path := e.Name()
		if rel != "" {
			path = rel + "/" + path
		}
		if e.Name() == ".git" {
			s.repos = append(s.repos, gitPath{rel: path, mode: e.Type()})
		}
		if e.Type() == fs.ModeSymlink && !inGit {
			s.links = append(s.links, path)
		}
		switch {
		case e.IsDir() && (inGit && rel != "" && skipInGit(e.Name())):
		case e.IsDir():
			if err := w.scanFolder(s, path, inGit || e.Name() == ".git"); err != nil {
				return err
			}
		case (e.Type().IsRegular() || e.Type() == fs.ModeSymlink) && (all || w.globs.mayMatch(e.Name())) && w.globs.hidden(path):
			s.hidden = append(s.hidden, path)
		}
	}
	return nil
}

// isRepository reports whether a folder has what git asks of a repository, whatever it is called (gitrepository-layout(5)).
func isRepository(entries []fs.DirEntry) bool {
	found := 0
	for _, e := range entries {
		switch e.Name() {
		case "HEAD", "objects", "refs", "config":
			found++
		}
	}
	return found == 4
}

// skipInGit: objects are most of a repository and are never hidden one by one.
func skipInGit(name string) bool { return name == "objects" }

// readFolder is os.ReadDir without sorting.
func readFolder(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}
