package web

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// apiDoc is the OpenAPI document as the tests read it.
type apiDoc struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

const docURL = "protodaemon:openapi"

func loadDoc(t *testing.T) *apiDoc {
	t.Helper()
	raw, err := apiDocument("test")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	d := &apiDoc{root: v.(map[string]any), compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(docURL, v); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a JSON pointer.
func (d *apiDoc) at(t *testing.T, pointer string) any {
	t.Helper()
	var v any = d.root
	for _, step := range strings.Split(strings.TrimPrefix(pointer, "#/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		m, ok := v.(map[string]any)
		if !ok || m[step] == nil {
			t.Fatalf("%s leads nowhere (at %q)", pointer, step)
		}
		v = m[step]
	}
	return v
}

// response finds the pointer of what an operation answers with a status.
func (d *apiDoc) response(t *testing.T, method, path, status string) string {
	t.Helper()
	pointer := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method) + "/responses"
	if _, ok := d.at(t, pointer).(map[string]any)[status]; !ok {
		if status != "500" {
			t.Errorf("%s %s does not tell of status %s", method, path, status)
		}
		status = "default"
	}
	pointer += "/" + status
	if ref, ok := d.at(t, pointer).(map[string]any)["$ref"].(string); ok {
		return ref
	}
	return pointer
}

// check holds an answer against the document.
func (d *apiDoc) check(t *testing.T, method, path, status string, header http.Header, body []byte) {
	t.Helper()
	pointer := d.response(t, method, path, status)
	content, _ := d.at(t, pointer).(map[string]any)["content"].(map[string]any)
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if content == nil {
		if len(body) > 0 {
			t.Errorf("%s %s %s has a body that the document does not tell of", method, path, status)
		}
		return
	}
	if content[mediaType] == nil && content["*/*"] == nil {
		t.Errorf("%s %s %s is %q, which the document does not tell of", method, path, status, mediaType)
		return
	}
	if !strings.HasSuffix(mediaType, "json") || content[mediaType] == nil {
		return
	}
	schema, err := d.compiler.Compile(docURL + pointer + "/content/" + strings.ReplaceAll(mediaType, "/", "~1") + "/schema")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, body)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s %s %s does not fit the document: %v\n%s", method, path, status, err, body)
	}
}

// isAPI tells what the document speaks of: what programs call.
func isAPI(path string) bool {
	return strings.HasPrefix(path, "/api/") || slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, path)
}

func TestEveryRouteIsInTheDocumentAndTheReverse(t *testing.T) {
	d := loadDoc(t)
	documented := make(map[string]bool)
	for path, item := range d.at(t, "#/paths").(map[string]any) {
		for method := range item.(map[string]any) {
			documented[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, r := range (&Server{}).routes() {
		name := r.method + " " + r.path
		if !isAPI(r.path) {
			continue
		}
		if !documented[name] {
			t.Errorf("%s is not in the document", name)
		}
		delete(documented, name)
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		t.Errorf("%s is in the document and nowhere else", name)
	}
}

func TestAccessIsWhatTheDocumentSays(t *testing.T) {
	d := loadDoc(t)
	for _, r := range (&Server{}).routes() {
		if !isAPI(r.path) {
			continue
		}
		op := d.at(t, "#/paths/"+strings.ReplaceAll(r.path, "/", "~1")+"/"+strings.ToLower(r.method)).(map[string]any)
		_, open := op["security"]
		if open != (r.access == anyone) {
			t.Errorf("%s %s: the document's security is not the route's", r.method, r.path)
		}
	}
}

// TestTheDocumentHoldsTogether resolves every reference, and looks for every
// path parameter and every unused component.
func TestTheDocumentHoldsTogether(t *testing.T) {
	d := loadDoc(t)
	if v := d.root["openapi"]; v != "3.1.0" {
		t.Errorf("openapi is %v", v)
	}
	used := make(map[string]bool)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				d.at(t, ref)
				used[ref] = true
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(d.root)
	for kind, all := range d.at(t, "#/components").(map[string]any) {
		if kind == "securitySchemes" {
			continue
		}
		for name := range all.(map[string]any) {
			ref := "#/components/" + kind + "/" + name
			if !used[ref] {
				t.Errorf("%s is used nowhere", ref)
			}
			if kind == "schemas" {
				if _, err := d.compiler.Compile(docURL + ref); err != nil {
					t.Error(err)
				}
			}
		}
	}
	d.checkParameters(t)
}

func (d *apiDoc) checkParameters(t *testing.T) {
	ids := make(map[any]bool)
	for path, item := range d.at(t, "#/paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			if ids[op["operationId"]] || op["operationId"] == nil {
				t.Errorf("%s %s: operationId %v is missing or there twice", method, path, op["operationId"])
			}
			ids[op["operationId"]] = true
			var named []string
			params, _ := op["parameters"].([]any)
			for _, p := range params {
				p := p.(map[string]any)
				if ref, ok := p["$ref"].(string); ok {
					p = d.at(t, ref).(map[string]any)
				}
				if p["in"] == "path" {
					named = append(named, p["name"].(string))
				}
			}
			var wanted []string
			for step := range strings.SplitSeq(path, "/") {
				if name, ok := strings.CutPrefix(step, "{"); ok {
					wanted = append(wanted, strings.TrimSuffix(name, "}"))
				}
			}
			if !slices.Equal(named, wanted) {
				t.Errorf("%s %s: path parameters %v, documented %v", method, path, wanted, named)
			}
		}
	}
}

func TestEveryCodeOfAProblemIsDocumented(t *testing.T) {
	d := loadDoc(t)
	text := d.at(t, "#/components/schemas/Problem/properties/code/description").(string)
	_, list, _ := strings.Cut(text, ": ")
	documented := strings.Split(list, ", ")
	codes := []string{"internal", "unknown-class", "bad-json"}
	for _, r := range refusals {
		codes = append(codes, r.code)
	}
	for _, code := range conflicts {
		codes = append(codes, code)
	}
	for _, code := range codes {
		if !slices.Contains(documented, code) {
			t.Errorf("the code %s is not documented", code)
		}
	}
}
