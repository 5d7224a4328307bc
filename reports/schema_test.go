package reports

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

var update = flag.Bool("update", false, "write the schemas instead of comparing them")

// The schemas are generated from the types and their comments, and committed: go test ./reports -run Schema -update.
func TestSchemasAreUpToDate(t *testing.T) {
	tests := []struct {
		file   string
		schema *jsonschema.Schema
	}{
		{"report.schema.json", reportSchema(t)},
		{"network.schema.json", eventSchema(t)},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got, err := json.MarshalIndent(tt.schema, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			if *update {
				if err := os.WriteFile(tt.file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is stale: run go test ./reports -run Schema -update", tt.file)
			}
		})
	}
}

func TestSchemasTakeWhatWeWrite(t *testing.T) {
	report, event := committed(t, "report.schema.json"), committed(t, "network.schema.json")
	for name, r := range map[string]*Report{
		"full": sample(), "empty": {Schema: Schema, Outcome: Success, Network: Network{Destinations: []Destination{{Layer: LayerDNS, Verdict: Deny}}}},
	} {
		var buf bytes.Buffer
		if err := r.Write(&buf); err != nil {
			t.Fatal(err)
		}
		if err := report.Validate(value(t, buf.Bytes())); err != nil {
			t.Errorf("%s report: %v", name, err)
		}
	}
	for _, e := range []Event{sampleEvent(), {Verdict: Deny, Layer: LayerOther, Count: 1}} {
		line, err := e.Line()
		if err != nil {
			t.Fatal(err)
		}
		if err := event.Validate(value(t, line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSchemasRefuseWhatWeNeverWrite(t *testing.T) {
	report, event := committed(t, "report.schema.json"), committed(t, "network.schema.json")
	var buf bytes.Buffer
	if err := sample().Write(&buf); err != nil {
		t.Fatal(err)
	}
	line, _ := sampleEvent().Line()
	tests := []struct {
		name     string
		schema   *jsonschema.Resolved
		doc      []byte
		old, new string
	}{
		{"another schema", report, buf.Bytes(), Schema, "yolo-run/report/v2"},
		{"an unknown outcome", report, buf.Bytes(), `"agent-failed"`, `"fine"`},
		{"an unknown field", report, buf.Bytes(), `"outcome"`, `"income"`},
		{"null for a list", report, buf.Bytes(), `"errors": [`, `"errors": null, "x": [`},
		{"an unknown verdict", event, line, `"would-deny"`, `"maybe"`},
		{"an unknown layer", event, line, `"http"`, `"quic"`},
		{"text for a count", event, line, `"count":3`, `"count":"3"`},
		{"a count of nothing", event, line, `"count":3`, `"count":0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(tt.doc, []byte(tt.old)) {
				t.Fatalf("%s is not in the document", tt.old)
			}
			bad := bytes.Replace(tt.doc, []byte(tt.old), []byte(tt.new), 1)
			if err := tt.schema.Validate(value(t, bad)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// sample and sampleEvent prove something only while they set every field.
func TestSamplesSetEveryField(t *testing.T) {
	for _, v := range []any{*sample(), sampleEvent()} {
		if at := zeroField(reflect.ValueOf(v), ""); at != "" {
			t.Errorf("%T%s is not set", v, at)
		}
	}
}

func zeroField(v reflect.Value, at string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return at
		}
		return zeroField(v.Elem(), at)
	case reflect.Slice:
		if v.Len() == 0 {
			return at
		}
		return zeroField(v.Index(0), at+"[0]")
	case reflect.Struct:
		if v.Type() == reflect.TypeOf(noon) {
			break
		}
		for i := range v.NumField() {
			if found := zeroField(v.Field(i), at+"."+v.Type().Field(i).Name); found != "" {
				return found
			}
		}
		return ""
	}
	if v.IsZero() {
		return at
	}
	return ""
}

func reportSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.For[Report](schemaOptions())
	if err != nil {
		t.Fatal(err)
	}
	finish(s, reflect.TypeFor[Report](), comments(t))
	s.Schema = draft
	s.ID = "https://github.com/yolo-run/yolo-run/raw/main/reports/report.schema.json"
	s.Title = "report.json of yolo-run"
	s.Properties["schema"].Const = new(any(Schema))
	s.Properties["outcome"].Enum = []any{Cancelled, Infrastructure, Timeout, Budget, PolicyFailed, AgentFailed, NoChanges, Success}
	return s
}

func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.For[Event](schemaOptions())
	if err != nil {
		t.Fatal(err)
	}
	finish(s, reflect.TypeFor[Event](), comments(t))
	s.Schema = draft
	s.ID = "https://github.com/yolo-run/yolo-run/raw/main/reports/network.schema.json"
	s.Title = "one line of yolo-run's network.jsonl"
	s.Properties["count"].Minimum = new(1.0)
	return s
}

func schemaOptions() *jsonschema.ForOptions {
	enum := func(values ...any) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Enum: values} }
	return &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[Verdict]():   enum(Allow, Deny, WouldDeny),
		reflect.TypeFor[Layer]():     enum(LayerDNS, LayerTLS, LayerHTTP, LayerTCP, LayerUDP, LayerICMP, LayerModel, LayerOther),
		reflect.TypeFor[Severity]():  enum(Block, Warn),
		reflect.TypeFor[StepKind]():  enum(StepText, StepThinking, StepTool, StepError),
		reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
	}}
}

// finish adds what the generator cannot know: descriptions from the comments, and that a list is never null ([Report.Write]) and an
// optional object absent instead of null. Only exitCode says something by null.
func finish(s *jsonschema.Schema, typ reflect.Type, docs map[string]string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if len(s.Types) == 2 && typ.Kind() != reflect.Int {
		s.Type, s.Types = s.Types[1-slices.Index(s.Types, "null")], nil
	}
	switch {
	case typ.Kind() == reflect.Slice:
		finish(s.Items, typ.Elem(), docs)
	case s.Type == "object":
		if s.Description == "" {
			s.Description = docs[typ.Name()]
		}
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[name]
			p.Description = docs[typ.Name()+"."+f.Name]
			finish(p, f.Type, docs)
		}
	}
}

// comments returns the comments of the package's types and fields, by Type and Type.Field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, name := range []string{"report.go", "event.go", "transcript.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			spec := gen.Specs[0].(*ast.TypeSpec)
			docs[spec.Name.Name] = oneLine(gen.Doc.Text())
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range st.Fields.List {
				docs[spec.Name.Name+"."+f.Names[0].Name] = oneLine(f.Doc.Text() + f.Comment.Text())
			}
		}
	}
	return docs
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func committed(t *testing.T, file string) *jsonschema.Resolved {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func value(t *testing.T, doc []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
