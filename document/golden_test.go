package document

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew, to be read by a person")

// input is a file in memory.
func input(name, content string) Input {
	return Input{Name: name, Content: strings.NewReader(content), Size: int64(len(content))}
}

// golden compares v, as JSON, with the file beside the sample.
func golden(t *testing.T, sample string, v any) {
	t.Helper()
	got := new(bytes.Buffer)
	e := json.NewEncoder(got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSuffix(sample, filepath.Ext(sample)) + ".json"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s", path, got)
	}
}

// samples are the files of a folder of testdata with one extension.
func samples(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func TestRecordsAreReadAsTheirGoldenFilesSay(t *testing.T) {
	for _, dir := range []string{"segnatura", "fattura"} {
		for _, sample := range samples(t, dir+"/*.xml") {
			t.Run(filepath.Base(sample), func(t *testing.T) {
				data, err := os.ReadFile(sample)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, sample, inspectXML(input(filepath.Base(sample), string(data)), DefaultLimits))
			})
		}
	}
}
