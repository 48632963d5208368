package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// embedded holds what tools/assets built, and our own sheets and script as
// they were written: without the build the pages are plain, but whole.
//
//go:embed assets/dist assets/app.css assets/frame.css assets/app.js assets/icon.svg assets/icon-new.svg
var embedded embed.FS

// assets are the files that pages refer to, by plain name. A built file has a
// digest in its own name and never changes under it.
type assets struct {
	files fs.FS
	names map[string]string // plain name to file, as the manifest says
}

func loadAssets(files fs.FS) (*assets, error) {
	a := &assets{files: files}
	manifest, err := fs.ReadFile(files, "assets/dist/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of the assets: %w", err)
	}
	if err := json.Unmarshal(manifest, &a.names); err != nil {
		return nil, fmt.Errorf("reading the manifest of the assets: %w", err)
	}
	return a, nil
}

// url is the address of a file, or "" when it was not built and we have no
// source of it.
func (a *assets) url(name string) string {
	if hashed, ok := a.names[name]; ok {
		return "/assets/" + hashed
	}
	if _, err := fs.Stat(a.files, "assets/"+name); err == nil {
		return "/assets/" + name
	}
	return ""
}

// open finds the file that an address names; packed tells whether it is the
// gzip form.
func (a *assets) open(name string, gzip bool) (content []byte, packed, built bool, err error) {
	if gzip {
		if content, err = fs.ReadFile(a.files, "assets/dist/"+name+".gz"); err == nil {
			return content, true, true, nil
		}
	}
	if content, err = fs.ReadFile(a.files, "assets/dist/"+name); err == nil {
		return content, false, true, nil
	}
	content, err = fs.ReadFile(a.files, "assets/"+name)
	return content, false, false, err
}

// fonts are not in every system's table of media types.
var mediaTypes = map[string]string{".woff2": "font/woff2", ".svg": "image/svg+xml", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// serve answers one asset. The frame that shows a message has no origin, so
// that sheet and fonts have to be readable from anywhere; they are public.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	accepts := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	content, packed, built, err := a.open(name, accepts)
	if err != nil || path.Ext(name) == "" || path.Ext(name) == ".gz" {
		return problem(http.StatusNotFound, "not-found", "there is no such asset")
	}
	h := w.Header()
	h.Set("Content-Type", mediaType(name))
	h.Set("Vary", "Accept-Encoding")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "no-cache")
	if built {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if packed {
		h.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return nil
}

func mediaType(name string) string {
	if t, ok := mediaTypes[path.Ext(name)]; ok {
		return t
	}
	return mime.TypeByExtension(path.Ext(name))
}
