package reports

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// docs/report.md promises the fields: all of them, in code.
func TestEveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fields(reflect.TypeFor[Report](), fields(reflect.TypeFor[Event](), nil)) {
		text := string(page)
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+"[]`") && !strings.Contains(text, "."+name+"[]`") {
			t.Errorf("%s is not in docs/report.md", name)
		}
	}
}

func fields(typ reflect.Type, names []string) []string {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return fields(typ.Elem(), names)
	case reflect.Struct:
		for f := range typ.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				names = fields(f.Type, append(names, name))
			}
		}
	}
	return names
}
