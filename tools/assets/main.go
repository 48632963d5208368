// Command assets makes what the pages are dressed with: it cuts Bootstrap
// Italia to the rules, fonts and symbols that the templates use, bundles them
// with our own sheets and script, and writes the result into web/assets/dist
// under names that hold a digest of the content, each with a gzip form beside
// it and a manifest that leads from the plain name to the real one.
//
//	npm --prefix ../web/assets ci && go run ./assets [WEB]
//
// WEB is the directory of package web, ../web unless told. The outcome depends
// on nothing but the locked npm packages and the sources: the same input gives
// the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	web := "../web"
	if len(os.Args) > 1 {
		web = os.Args[1]
	}
	if err := build(web); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

// build writes dist anew. What npm brings has to be there already.
func build(web string) error {
	b := builder{
		assets:   filepath.Join(web, "assets"),
		italia:   filepath.Join(web, "assets", "node_modules", "bootstrap-italia", "dist"),
		manifest: make(map[string]string),
	}
	if _, err := os.Stat(b.italia); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is missing: run npm ci in %s first", b.italia, b.assets)
	}
	var err error
	if b.used, err = usedIn(web); err != nil {
		return err
	}
	if err := b.clear(); err != nil {
		return err
	}
	for _, step := range []func() error{b.sheet, b.frameSheet, b.script, b.sprite, b.icons, b.writeManifest} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type builder struct {
	assets, italia string
	used           used
	manifest       map[string]string
}

// placeholder is committed, so that the directory is never empty and can be
// embedded before anything is built.
const placeholder = "placeholder.txt"

func (b *builder) dist(name string) string { return filepath.Join(b.assets, "dist", name) }

func (b *builder) clear() error {
	old, err := os.ReadDir(b.dist(""))
	if err != nil {
		return err
	}
	for _, f := range old {
		if f.Name() == placeholder {
			continue
		}
		if err := os.Remove(b.dist(f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// sheet bundles the cut of Bootstrap Italia, the fonts and our own sheet.
func (b *builder) sheet() error {
	whole, err := os.ReadFile(filepath.Join(b.italia, "css", "bootstrap-italia.min.css"))
	if err != nil {
		return err
	}
	own, err := os.ReadFile(filepath.Join(b.assets, "app.css"))
	if err != nil {
		return err
	}
	cut := b.used.cutSheet(string(whole), string(own))
	return b.bundle("app.css", cut, "@import \"cut:italia\";\n@import \"./fonts.css\";\n@import \"./app.css\";\n", api.LoaderCSS)
}

// frameSheet is for the bodies of messages, which are shown in a frame of
// their own.
func (b *builder) frameSheet() error {
	return b.bundle("frame.css", "", "@import \"./fonts.css\";\n@import \"./frame.css\";\n", api.LoaderCSS)
}

func (b *builder) script() error {
	return b.bundle("app.js", "", "import \"./app.js\";\n", api.LoaderJS)
}

// bundle resolves the imports and addresses of entry, as if it were a file
// beside the assets, and adds what comes out. An import of "cut:italia" is cut.
func (b *builder) bundle(name, cut, entry string, l api.Loader) error {
	r := api.Build(api.BuildOptions{
		Stdin:             &api.StdinOptions{Contents: entry, ResolveDir: b.assets, Sourcefile: "entry-" + name, Loader: l},
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Target:            api.ES2020,
		Format:            api.FormatIIFE,
		Outfile:           b.dist(name),
		AssetNames:        "[name]-[hash]",
		Loader:            map[string]api.Loader{".woff2": api.LoaderFile},
		LegalComments:     api.LegalCommentsInline,
		LogLevel:          api.LogLevelWarning,
		Plugins:           []api.Plugin{cutPlugin(cut)},
	})
	if len(r.Errors) > 0 {
		return fmt.Errorf("bundling %s: %s", name, r.Errors[0].Text)
	}
	for _, f := range r.OutputFiles {
		base := filepath.Base(f.Path)
		if base == name {
			if err := b.add(name, f.Contents); err != nil {
				return err
			}
			continue
		}
		// A font: esbuild has named it already, and the sheet says so.
		b.manifest[fontName(base)] = base
		if err := os.WriteFile(b.dist(base), f.Contents, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func cutPlugin(cut string) api.Plugin {
	return api.Plugin{Name: "cut", Setup: func(p api.PluginBuild) {
		p.OnResolve(api.OnResolveOptions{Filter: "^cut:"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: a.Path, Namespace: "cut"}, nil
		})
		p.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "cut"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			return api.OnLoadResult{Contents: &cut, Loader: api.LoaderCSS}, nil
		})
	}}
}

// fontName is the name without esbuild's digest.
func fontName(hashed string) string {
	i := strings.LastIndexByte(hashed, '-')
	return hashed[:i] + filepath.Ext(hashed)
}

var symbol = regexp.MustCompile(`<symbol id="(it-[a-z0-9-]+)".*?</symbol>`)

// sprite keeps the symbols that are used, and refuses a name that does not
// exist.
func (b *builder) sprite() error {
	whole, err := os.ReadFile(filepath.Join(b.italia, "svg", "sprites.svg"))
	if err != nil {
		return err
	}
	out := bytes.NewBufferString(`<svg xmlns="http://www.w3.org/2000/svg">`)
	missing := make(map[string]bool)
	for name := range b.used.symbols {
		missing[name] = true
	}
	for _, m := range symbol.FindAllSubmatch(whole, -1) {
		if name := string(m[1]); missing[name] {
			out.Write(m[0])
			delete(missing, name)
		}
	}
	for name := range missing {
		return fmt.Errorf("there is no symbol %s in Bootstrap Italia's sprite", name)
	}
	out.WriteString("</svg>")
	return b.add("sprite.svg", out.Bytes())
}

// icons are those of the browser's tab: at rest, and when there is news.
func (b *builder) icons() error {
	for _, name := range []string{"icon.svg", "icon-new.svg"} {
		content, err := os.ReadFile(filepath.Join(b.assets, name))
		if err != nil {
			return err
		}
		if err := b.add(name, content); err != nil {
			return err
		}
	}
	return nil
}

// add writes content under a name with its digest, and its gzip form.
func (b *builder) add(name string, content []byte) error {
	sum := sha256.Sum256(content)
	digest := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
	ext := filepath.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "-" + digest + ext
	b.manifest[name] = hashed
	if err := os.WriteFile(b.dist(hashed), content, 0o644); err != nil {
		return err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	fmt.Printf("%-12s %7d bytes, %6d packed\n", name, len(content), packed.Len())
	return os.WriteFile(b.dist(hashed+".gz"), packed.Bytes(), 0o644)
}

func (b *builder) writeManifest() error {
	m, err := json.MarshalIndent(b.manifest, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.dist("manifest.json"), append(m, '\n'), 0o644)
}
