package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Load reads the configuration from file, the files it includes and the
// environment. The error is an *Error and lists everything that is wrong.
func Load(file string) (*Config, error) {
	l := loader{reader: reader{lines: make(map[string]int)}}
	c := l.load(file)
	if len(l.problems) > 0 {
		return nil, &Error{l.problems}
	}
	return c, nil
}

// loader assembles a configuration from its files.
type loader struct {
	reader
	origins []origin // of each organization
}

func (l *loader) load(file string) *Config {
	c := Default()
	main := l.read(file, reflect.TypeFor[Config]())
	if main == nil && len(l.problems) > 0 {
		return nil
	}
	organizations := take(main, "organizations")
	if bad := checkEnvironment(); len(bad) > 0 {
		l.problems = append(l.problems, bad...)
		return nil
	}
	if err := decode(main, &c, true); err != nil {
		l.report(file, 0, "", err.Error(), "")
		return nil
	}
	resolve(reflect.ValueOf(&c).Elem(), filepath.Dir(file))
	l.add(&c, file, organizations)
	for _, name := range l.expand(file, c.Include) {
		l.add(&c, name, take(l.read(name, reflect.TypeFor[included]()), "organizations"))
	}
	v := validator{reader: &l.reader, file: file, origins: l.origins}
	v.config(&c)
	return &c
}

// expand lists the files that the include patterns name, each once, in the
// order of the patterns. A pattern may match nothing; a plain name may not.
func (l *loader) expand(file string, patterns []string) []string {
	var names []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		switch {
		case err != nil:
			l.report(file, l.line(file, "include"), "include", pattern+" is not a file name or pattern", "")
		case len(found) == 0 && !strings.ContainsAny(pattern, "*?["):
			l.report(file, l.line(file, "include"), "include", pattern+" does not exist", "make it, or remove it from the list")
		}
		for _, name := range found {
			if !slices.Contains(names, name) && name != filepath.Clean(file) {
				names = append(names, name)
			}
		}
	}
	return names
}

// add decodes organizations, each over what it inherits: what a file leaves
// out stays as it is there.
func (l *loader) add(c *Config, file string, organizations []any) {
	dir := filepath.Dir(file)
	fill := func(raw map[string]any, into any) {
		if err := decode(raw, into, false); err != nil {
			l.report(file, 0, "", err.Error(), "")
		}
		resolve(reflect.ValueOf(into).Elem(), dir)
	}
	for i, item := range organizations {
		raw := item.(map[string]any)
		registers := take(raw, "registers")
		o := Organization{PEC: c.PEC, Closing: inherit(c.Closing, raw), Segnatura: c.Segnatura}
		fill(raw, &o)
		for _, item := range registers {
			raw := item.(map[string]any)
			mailboxes := take(raw, "mailboxes")
			r := Register{
				IPACode: o.IPACode, AOOCode: o.AOOCode, TaxCode: o.TaxCode,
				PEC: o.PEC, Closing: inherit(o.Closing, raw), Segnatura: o.Segnatura,
			}
			fill(raw, &r)
			for _, item := range mailboxes {
				m := DefaultMailbox()
				fill(item.(map[string]any), &m)
				m.complete()
				r.Mailboxes = append(r.Mailboxes, m)
			}
			o.Registers = append(o.Registers, r)
		}
		c.Organizations = append(c.Organizations, o)
		l.origins = append(l.origins, origin{file, fmt.Sprintf("organizations[%s]", or(o.ID, fmt.Sprint(i)))})
	}
}

// complete fills in what follows from what was said.
func (m *Mailbox) complete() {
	if m.IMAP.Port == 0 {
		m.IMAP.Port = 143
		if m.IMAP.TLS == "implicit" {
			m.IMAP.Port = 993
		}
	}
	if m.IMAP.Username == "" {
		m.IMAP.Username = m.Address
	}
}

// inherit is the closing that raw starts from: a signing key, an authority for
// time stamps and a way of delivery are replaced as a whole when raw names
// another, because the secrets of the one are nothing for the other.
func inherit(c Closing, raw map[string]any) Closing {
	own, _ := raw["closing"].(map[string]any)
	sign, _ := own["sign"].(map[string]any)
	for _, method := range []string{"pkcs12_file", "pkcs11", "csc"} {
		if sign[method] != nil {
			c.Sign = Sign{XAdES: c.Sign.XAdES}
		}
	}
	timestamp, _ := own["timestamp"].(map[string]any)
	if timestamp["url"] != nil {
		c.Timestamp = Timestamp{}
	}
	deliver, _ := own["deliver"].(map[string]any)
	if d := c.Deliver; deliver["kind"] != nil {
		c.Deliver = Deliver{Profile: d.Profile, OverdueAfter: d.OverdueAfter, ParER: d.ParER, Class: d.Class}
	}
	return c
}

// take removes a list from a map.
func take(m map[string]any, key string) []any {
	list, _ := m[key].([]any)
	delete(m, key)
	return list
}

// decode writes what raw says over into and leaves the rest of into as it is.
func decode(raw map[string]any, into any, environment bool) error {
	v := viper.NewWithOptions(viper.KeyDelimiter("::"), viper.ExperimentalBindStruct(),
		viper.EnvKeyReplacer(strings.NewReplacer("::", "_")))
	if environment {
		v.SetEnvPrefix(envPrefix)
		v.AllowEmptyEnv(true)
		v.AutomaticEnv()
	}
	if err := v.MergeConfigMap(raw); err != nil {
		return err
	}
	return v.UnmarshalExact(into, func(dc *mapstructure.DecoderConfig) {
		dc.TagName = "yaml"
		// A list replaces the one it overrides, and never shares its memory.
		dc.ZeroFields = true
		dc.DecodeHook = mapstructure.ComposeDecodeHookFunc(
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.TextUnmarshallerHookFunc(),
		)
	})
}

// resolve makes the paths in v, at any depth, relative to dir.
func resolve(v reflect.Value, dir string) {
	for f, field := range v.Fields() {
		path := f.Tag.Get("path") != "" || f.Type == reflect.TypeFor[SecretFile]()
		switch {
		case field.Kind() == reflect.Struct:
			resolve(field, dir)
		case f.Type == reflect.TypeFor[[]Authority]():
			for i := range field.Len() {
				resolve(field.Index(i), dir)
			}
		case path && field.Kind() == reflect.String:
			field.SetString(absolute(field.String(), dir))
		case path && field.Kind() == reflect.Slice:
			for i := range field.Len() {
				field.Index(i).SetString(absolute(field.Index(i).String(), dir))
			}
		}
	}
	if d, ok := v.Addr().Interface().(*Deliver); ok && d.Kind == "directory" {
		d.Path = absolute(d.Path, dir)
	}
}

func absolute(path, dir string) string {
	if rest, ok := strings.CutPrefix(path, credentials); ok {
		if given := os.Getenv("CREDENTIALS_DIRECTORY"); given != "" {
			return given + rest
		}
		return path
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
