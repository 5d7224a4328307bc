package runner_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// SECURITY.md names the test of every promise: each that it names exists, and no attack's test is left out.
func TestSecurityNamesEveryAttacksTest(t *testing.T) {
	page := string(readFile(t, "../SECURITY.md"))
	exist := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)[A-Z]\w*)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "build" || entry.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			exist[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, match := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(page, -1) {
		named[match[1]] = true
		if !exist[match[1]] {
			t.Errorf("SECURITY.md names %s, which does not exist", match[1])
		}
	}
	attacks := 0
	for name := range exist {
		if strings.HasPrefix(name, "TestAttack") {
			attacks++
			if !named[name] {
				t.Errorf("SECURITY.md does not name %s", name)
			}
		}
	}
	if attacks < 30 || len(named) < 50 {
		t.Errorf("control: %d attacks were found, %d tests are named", attacks, len(named))
	}
	for number := 1; number <= 23; number++ {
		if !strings.Contains(page, fmt.Sprintf("\n| %d |", number)) {
			t.Errorf("SECURITY.md has no line for attack %d", number)
		}
	}
}
