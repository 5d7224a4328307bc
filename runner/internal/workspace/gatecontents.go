package workspace

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// secrets searches names and both versions of every file for values that were handed in: the patch has lines of both. Tokens are searched for in new
// versions, and only those that the old one does not have.
func (g *gate) secrets(ctx context.Context) error {
	const given = "a secret that was given to the run"
	forms := secretForms(g.o.Secrets)
	holders := map[string][]string{}
	for _, d := range g.c.diff {
		for _, p := range d.paths() {
			if f, found := formIn(p, forms); found {
				g.find(RuleSecret, reports.Block, "", given+f.how+" is in the name of a file")
			}
		}
		if d.mode != nothing {
			holders[d.id] = append(holders[d.id], d.path)
		}
		if d.oldMode != nothing && d.oldID != d.id {
			holders[d.oldID] = append(holders[d.oldID], cmp.Or(d.oldPath, d.path))
		}
	}
	seed, kinds, found := maphash.MakeSeed(), tokens(), map[string]map[string][]uint64{}
	err := g.c.blobs(ctx, keys(holders), func(id string, content []byte) {
		if f, ok := formIn(string(content), forms); ok {
			for _, p := range holders[id] {
				g.find(RuleSecret, reports.Block, p, given+f.how+" is in the file")
			}
		}
		for _, kind := range kinds {
			if matches := kind.find(seed, content); len(matches) > 0 {
				if found[id] == nil {
					found[id] = map[string][]uint64{}
				}
				found[id][kind.name] = matches
			}
		}
	})
	for _, d := range g.c.diff {
		for _, name := range keys(found[d.id]) {
			if d.mode != nothing && anyNew(found[d.id][name], found[d.oldID][name]) {
				g.find(RuleToken, reports.Block, d.path, "what looks like "+name+" is in the file")
			}
		}
	}
	return err
}

// anyNew reports whether a token is not among those of the old version; a file with too many to compare has one.
func anyNew(now, old []uint64) bool {
	before := map[uint64]bool{}
	for _, t := range old {
		before[t] = true
	}
	return len(now) > maxTokens || slices.ContainsFunc(now, func(t uint64) bool { return !before[t] })
}

// scripts finds packages whose scripts change: package managers run some of them at every install.
func (g *gate) scripts(ctx context.Context) error {
	versions := map[string]any{}
	var ids []string
	packages := slices.DeleteFunc(slices.Clone(g.c.diff), func(d treeChange) bool {
		name := strings.ToLower(path.Base(d.path))
		return d.mode == nothing || name != "package.json" && name != "composer.json"
	})
	for _, d := range packages {
		ids = append(ids, d.id)
		if d.oldMode != nothing {
			ids = append(ids, d.oldID)
		}
	}
	slices.Sort(ids)
	err := g.c.blobs(ctx, slices.Compact(ids), func(id string, content []byte) {
		var manifest map[string]any // a struct would take "Scripts" for "scripts", which no package manager does
		if err := json.Unmarshal(content, &manifest); err != nil {
			manifest = map[string]any{"scripts": "unreadable " + id} // differs from every other version
		}
		versions[id] = manifest["scripts"]
	})
	for _, d := range packages {
		old := versions[d.oldID]
		if !reflect.DeepEqual(old, versions[d.id]) {
			g.find(RulePackageScript, reports.Warn, d.path, fmt.Sprintf("scripts of the package change%s", installHooks(old, versions[d.id])))
		}
	}
	return err
}

// installHooks names those that run without being called.
func installHooks(old, now any) string {
	before, _ := old.(map[string]any)
	after, _ := now.(map[string]any)
	var changed []string
	for _, hook := range []string{"preinstall", "install", "postinstall", "prepare", "prepublish", "pre-install-cmd", "post-install-cmd", "post-update-cmd", "post-autoload-dump"} {
		if !reflect.DeepEqual(before[hook], after[hook]) {
			changed = append(changed, hook)
		}
	}
	if len(changed) == 0 {
		return ""
	}
	return ", also what runs at install: " + strings.Join(changed, ", ")
}
