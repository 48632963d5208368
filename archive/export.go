package archive

import (
	"archive/zip"
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// Schema is the XSD of the daily register and of the imprints.
//
//go:embed xsd/registro-giornaliero-1.xsd
var Schema []byte

//go:embed export/verifica.sh
var verifyScript []byte

//go:embed export/LEGGIMI.txt
var readme []byte

// Export writes all closings of a year of a register as one zip that can be
// verified with openssl, xmllint and sha256sum alone, by the script inside it
// (docs/verifica.md).
func (a *Archive) Export(ctx context.Context, by register.Actor, org, reg string, year int, w io.Writer) error {
	k, err := a.keeper(org, reg)
	if err != nil {
		return err
	}
	if !by.Can(register.Read, org, reg) {
		return fmt.Errorf("%w: %s in %s/%s", register.ErrForbidden, register.Read, org, reg)
	}
	closings, err := k.ofYear(ctx, by, year)
	if err != nil {
		return err
	}
	if len(closings) == 0 {
		return fmt.Errorf("closings of %d in %s/%s: %w", year, org, reg, register.ErrNotFound)
	}
	e := exporter{zip: zip.NewWriter(w), root: fmt.Sprintf("registro-%s-%d/", reg, year),
		at: closings[len(closings)-1].ClosedAt, certificates: map[string]*x509.Certificate{}}
	for _, c := range closings {
		if err := e.closing(ctx, k, by, c); err != nil {
			return fmt.Errorf("exporting closing %s: %w", c.ID, err)
		}
	}
	return e.end()
}

// ofYear lists the closings of a year, oldest first.
func (k *keeper) ofYear(ctx context.Context, by register.Actor, year int) (all []register.Closing, err error) {
	q := register.ClosingQuery{From: fmt.Sprintf("%04d-01-01", year), To: fmt.Sprintf("%04d-12-31", year), Limit: 500}
	for {
		page, err := k.archive.office.Closings(ctx, by, k.name.organization, k.name.register, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			slices.Reverse(all)
			return all, nil
		}
	}
}

type exporter struct {
	zip          *zip.Writer
	root         string
	at           time.Time
	sums, days   strings.Builder
	certificates map[string]*x509.Certificate
	order        []string
}

// add writes a file into the package and notes its digest.
func (e *exporter) add(name string, mode uint32, r io.Reader) error {
	h := &zip.FileHeader{Name: e.root + name, Method: zip.Store, Modified: e.at.UTC().Truncate(2 * time.Second)}
	h.ExternalAttrs = mode << 16
	w, err := e.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	digest := newDigest()
	if _, err := io.Copy(io.MultiWriter(w, digest), r); err != nil {
		return err
	}
	fmt.Fprintf(&e.sums, "%x  %s\n", digest.Sum(nil), name)
	return nil
}

const (
	modeFile   = 0o100644
	modeScript = 0o100755
)

// closing adds the files of a day; packages hold only what is there already.
func (e *exporter) closing(ctx context.Context, k *keeper, by register.Actor, c register.Closing) error {
	fmt.Fprintln(&e.days, c.Name)
	for _, f := range c.Files {
		if f.Role == register.FilePackage {
			continue
		}
		if err := e.file(ctx, k, by, c, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if err := e.collect(ctx, k, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (e *exporter) file(ctx context.Context, k *keeper, by register.Actor, c register.Closing, f register.ClosingFile) (err error) {
	blob, _, err := k.archive.office.OpenClosingFile(ctx, by, c.Organization, c.Register, c.ID, f.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	return e.add("giorni/"+c.Name+"/"+f.Name, modeFile, blob)
}

// collect notes the certificates that a signature and its stamp, or the stamp of
// a renewal, bring.
func (e *exporter) collect(ctx context.Context, k *keeper, f register.ClosingFile) error {
	var token []byte
	switch f.Role {
	case register.FileRenewalStamp:
		b, err := k.readFile(ctx, f)
		if err != nil {
			return err
		}
		token = b
	case register.FileImprintsSigned, register.FileImprintsStamped:
		b, err := k.readFile(ctx, f)
		if err != nil {
			return err
		}
		sd, err := cms.Parse(b)
		if err != nil {
			return err
		}
		e.note("firma", sd.Certificates)
		if s, err := sd.Verify(0, sd.Content); err == nil {
			token = s.Token
		}
	}
	if token == nil {
		return nil
	}
	if stamp, err := cms.ParseStamp(token); err == nil { // one that cannot be read does not verify either
		e.note("marca", stamp.Certificates)
	}
	return nil
}

func (e *exporter) note(kind string, certs []*x509.Certificate) {
	for _, c := range certs {
		key := kind + " " + store.Sum(c.Raw).String()
		if e.certificates[key] == nil {
			e.certificates[key] = c
			e.order = append(e.order, key)
		}
	}
}

// end adds what is needed to verify the rest.
func (e *exporter) end() error {
	for _, kind := range []string{"firma", "marca"} {
		var b strings.Builder
		for _, key := range e.order {
			if c := e.certificates[key]; strings.HasPrefix(key, kind+" ") {
				fmt.Fprintf(&b, "# %s\n", c.Subject)
				if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
					return err
				}
			}
		}
		if b.Len() == 0 {
			continue
		}
		if err := e.add("certificati/"+kind+".pem", modeFile, strings.NewReader(b.String())); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name    string
		mode    uint32
		content string
	}{
		{"giorni.txt", modeFile, e.days.String()}, {"LEGGIMI.txt", modeFile, string(readme)},
		{"registro-giornaliero-1.xsd", modeFile, string(Schema)}, {"verifica.sh", modeScript, string(verifyScript)},
	} {
		if err := e.add(f.name, f.mode, strings.NewReader(f.content)); err != nil {
			return err
		}
	}
	if err := e.add("SHA256SUMS", modeFile, strings.NewReader(e.sums.String())); err != nil {
		return err
	}
	return e.zip.Close()
}
