package web

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/protodaemon/protodaemon/register"
)

//go:embed openapi.json
var documentTemplate []byte

// apiDocument is the OpenAPI document with the program's version in it.
func apiDocument(version string) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(documentTemplate, &doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	var info map[string]any
	if err := json.Unmarshal(doc["info"], &info); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	if version != "" {
		info["x-program-version"] = version
	}
	var err error
	if doc["info"], err = json.Marshal(info); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request, _ register.Actor) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, err := w.Write(s.document)
	return err
}
