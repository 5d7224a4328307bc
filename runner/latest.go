package runner

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// LatestRun is the output folder of the run that ended last, as far as it used the default of --out.
func LatestRun() (string, error) { return outputPath(Config{}, "latest") }

// LatestRunOf is the output folder of the latest run that worked on a workspace, as far as it used the default of --out. A patch must not come to
// another tree only because somebody ran something there meanwhile: without such a run it is a [UsageError], which names the one that there is.
func LatestRunOf(dir string) (string, error) {
	latest, err := LatestRun()
	if err != nil {
		return "", err
	}
	folder, err := filepath.EvalSymlinks(latest)
	if err != nil {
		return "", &UsageError{Option: "folder", Value: latest, Err: errors.New("there is no latest run"), Hint: "name the folder that --out of the run named"}
	}
	root, err := workspaceRoot(dir)
	if err != nil {
		return "", err
	}
	newest, err := readRun(folder)
	if err == nil && newest.Workspace.Path == root {
		return folder, nil
	}
	if filepath.Base(latest) == "latest" { // else it is CI's, with one run
		if other := latestAmong(filepath.Dir(latest), root); other != "" {
			return other, nil
		}
	}
	fault := &UsageError{Option: "folder", Value: folder, Hint: "name it if it is the one: yolo-run apply " + filepath.Base(folder)}
	if filepath.Base(latest) != "latest" {
		fault.Hint = "name the folder if it is the one"
	}
	if err != nil {
		fault.Err = fmt.Errorf("what the latest run worked on is not known: %w", err)
	} else {
		fault.Err = fmt.Errorf("the latest run worked on %q, and none is known that worked on %q", newest.Workspace.Path, root)
	}
	return "", fault
}

// workspaceRoot is the folder that a run with this --workspace would have mounted.
func workspaceRoot(dir string) (string, error) {
	abs, err := filepath.Abs(cmp.Or(dir, "."))
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", &UsageError{Option: "--workspace", Value: dir, Err: plainPathError(err)}
	}
	return workspace.TopLevel(abs), nil
}

func readRun(folder string) (*reports.Report, error) {
	in, err := reports.OpenArtifact(folder, fileReport)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer in.Close()
	return reports.ReadReport(in)
}

// maxRunsSeen bounds how many folders are looked at, the newest first.
const maxRunsSeen = 500

// latestAmong returns the folder of the newest run that worked on root, empty when there is none. One that cannot be read is another's.
func latestAmong(runs, root string) string {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return ""
	}
	type run struct {
		folder string
		ended  time.Time
	}
	var list []run
	for _, e := range entries {
		folder := filepath.Join(runs, e.Name())
		if info, err := os.Lstat(filepath.Join(folder, fileReport)); err == nil && e.IsDir() {
			list = append(list, run{folder, info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b run) int { return b.ended.Compare(a.ended) })
	for _, r := range list[:min(len(list), maxRunsSeen)] {
		if rep, err := readRun(r.folder); err == nil && rep.Workspace.Path == root {
			return r.folder
		}
	}
	return ""
}
