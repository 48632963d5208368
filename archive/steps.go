package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// maxSigned bounds a file that is read whole to be signed.
const maxSigned = 256 << 20

// step is one act between two records; outside: at a destination.
type step struct {
	name    string
	outside bool
	do      func(*keeper, context.Context, register.Closing) (register.Closing, error)
}

var (
	stepSign    = &step{"sign", false, (*keeper).sign}
	stepStamp   = &step{"stamp", false, (*keeper).stamp}
	stepPackage = &step{"package", false, (*keeper).packUp}
	stepDeliver = &step{"deliver", true, (*keeper).deliver}
	stepReceipt = &step{"receipt", true, (*keeper).receipt}
)

// next is the step that a closing waits for; nil: none, or a person.
func (k *keeper) next(c register.Closing) *step {
	signs, stamps := k.conf.OpenKey != nil, len(k.conf.Authorities) > 0
	switch {
	case c.Reached == register.ClosingClosed && signs:
		return stepSign
	case c.Reached == register.ClosingSigned && stamps:
		return stepStamp
	case c.Reached == register.ClosingDelivered && k.carrier != nil:
		return stepReceipt
	case c.Reached == register.ClosingDelivered, c.Reached == register.ClosingAccepted,
		c.Reached == register.ClosingRejected, k.carrier == nil:
		return nil
	case c.Parcel == nil || c.Parcel.File == "":
		return stepPackage
	}
	return stepDeliver
}

// keep writes a file of the register's closings; it is durable before a record
// names it.
func (k *keeper) keep(ctx context.Context, name, mediaType, role string, write func(io.Writer) error) (f register.ClosingFile, err error) {
	w, err := k.archive.office.CreateBlob(ctx, k.conf.Organization)
	if err != nil {
		return f, fmt.Errorf("keeping %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	buffered := bufio.NewWriterSize(w, 64<<10)
	if err := write(buffered); err != nil {
		return f, fmt.Errorf("writing %s: %w", name, err)
	}
	if err := buffered.Flush(); err != nil {
		return f, fmt.Errorf("writing %s: %w", name, err)
	}
	digest, size, err := w.Commit(ctx)
	if err != nil {
		return f, fmt.Errorf("keeping %s: %w", name, err)
	}
	return register.ClosingFile{Name: name, MediaType: mediaType, Size: size, SHA256: digest, Role: role}, nil
}

// keepBytes is keep for what is in memory.
func (k *keeper) keepBytes(ctx context.Context, name, mediaType, role string, b []byte) (register.ClosingFile, error) {
	return k.keep(ctx, name, mediaType, role, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// open opens a file of the register's closings.
func (k *keeper) open(ctx context.Context, f register.ClosingFile) (store.Blob, error) {
	return k.archive.office.OpenBlob(ctx, k.conf.Organization, f.SHA256)
}

// read reads a file of a role whole.
func (k *keeper) read(ctx context.Context, c register.Closing, role string) (b []byte, f register.ClosingFile, err error) {
	f, ok := c.File(role)
	if !ok {
		return nil, f, fmt.Errorf("closing %s has no file %s", c.ID, role)
	}
	b, err = k.readFile(ctx, f)
	return b, f, err
}

// readSized reads a file whose size is known, in one piece of memory.
func readSized(r io.Reader, size int64) ([]byte, error) {
	if size > maxSigned {
		return nil, fmt.Errorf("it has more than %d bytes", maxSigned)
	}
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := b.ReadFrom(io.LimitReader(r, size+1))
	return b.Bytes(), err
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return b, err
}

// happenings are those of a closing.
func (k *keeper) happenings(ctx context.Context, c register.Closing) events {
	return func(yield func(register.Happening) error) error {
		return k.archive.office.Happenings(ctx, c, yield)
	}
}

// signed is one file to be signed: from which role, into which, in what form.
type signed struct {
	from, to, name, mediaType string
	format                    sign.Format
}

func (k *keeper) toSign(c register.Closing) []signed {
	files := []signed{
		{register.FilePDF, register.FilePDFSigned, c.Name + ".pdf.p7m", mediaP7M, sign.CAdES},
		{register.FileImprints, register.FileImprintsSigned, c.Name + "-impronte.xml.p7m", mediaP7M, sign.CAdES},
	}
	if k.conf.XAdES {
		files = append(files, signed{register.FileXML, register.FileXMLSigned, c.Name + ".xades.xml", "application/xml", sign.XAdES})
	}
	return files
}

const mediaP7M = "application/pkcs7-mime"

// sign has all that is signed of a closing signed in one authorization.
func (k *keeper) sign(ctx context.Context, c register.Closing) (register.Closing, error) {
	plan := k.toSign(c)
	var signatures [][]byte
	var signer *x509.Certificate
	err := k.archive.vault.use(ctx, k.conf.Lock, func() (err error) {
		signatures, signer, err = k.signAll(ctx, c, plan)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("signing %s: %w", c.Name, err)
	}
	a := register.Advance{From: c.Reached, To: register.ClosingSigned, Detail: signerDetail(signer)}
	for i, s := range plan {
		f, err := k.keepBytes(ctx, s.name, s.mediaType, s.to, signatures[i])
		if err != nil {
			return c, err
		}
		a.Files = append(a.Files, f)
	}
	return k.record(ctx, c, a)
}

// signAll reads what is to be signed, opens the key, signs and closes it.
func (k *keeper) signAll(ctx context.Context, c register.Closing, plan []signed) (signatures [][]byte, signer *x509.Certificate, err error) {
	var documents []sign.Document
	for _, s := range plan {
		content, _, err := k.read(ctx, c, s.from)
		if err != nil {
			return nil, nil, fmt.Errorf("reading what is to be signed: %w", err)
		}
		documents = append(documents, sign.Document{Format: s.format, Content: content})
	}
	key, err := k.conf.OpenKey(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the signing key: %w", err)
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	return sign.Sign(ctx, key, time.Now(), documents)
}

func signerDetail(c *x509.Certificate) map[string]string {
	return map[string]string{
		"signer": c.Subject.String(), "issuer": c.Issuer.String(),
		"serial": hex.EncodeToString(c.SerialNumber.Bytes()), "not_after": c.NotAfter.UTC().Format(time.RFC3339),
		"algorithm": c.PublicKeyAlgorithm.String() + " SHA-256",
	}
}

// stamp puts a time stamp on each CAdES signature.
func (k *keeper) stamp(ctx context.Context, c register.Closing) (register.Closing, error) {
	authorities, err := k.authorities()
	if err != nil {
		return c, err
	}
	a := register.Advance{From: c.Reached, To: register.ClosingStamped, Detail: map[string]string{}}
	for _, s := range []struct{ from, to, name string }{
		{register.FilePDFSigned, register.FilePDFStamped, c.Name + "-t.pdf.p7m"},
		{register.FileImprintsSigned, register.FileImprintsStamped, c.Name + "-impronte-t.xml.p7m"},
	} {
		p7m, _, err := k.read(ctx, c, s.from)
		if err != nil {
			return c, fmt.Errorf("reading what is to be stamped: %w", err)
		}
		stamped, token, err := sign.AddStamp(ctx, authorities, p7m)
		if err != nil {
			return c, fmt.Errorf("stamping %s: %w", c.Name, err)
		}
		f, err := k.keepBytes(ctx, s.name, mediaP7M, s.to, stamped)
		if err != nil {
			return c, err
		}
		a.Files = append(a.Files, f)
		stampDetail(a.Detail, token)
		k.archive.metrics.stamped()
	}
	return k.record(ctx, c, a)
}

// authorities reads what is needed to ask them.
func (k *keeper) authorities() ([]sign.Authority, error) {
	var all []sign.Authority
	for _, conf := range k.conf.Authorities {
		authority, err := conf.Open()
		if err != nil {
			return nil, fmt.Errorf("time stamping authority %s: %w", conf.Name, err)
		}
		all = append(all, authority)
	}
	return all, nil
}

// stampDetail tells of a stamp; that of the imprints, the last, is what stands.
func stampDetail(d map[string]string, s sign.Stamped) {
	d["authority"] = s.Authority
	d["time"] = s.Time.UTC().Format(time.RFC3339Nano)
	d["policy"] = s.Policy.String()
	d["serial"] = strings.TrimPrefix(d["serial"]+" "+s.Serial.String(), " ")
	if s.Certificate != nil {
		d["tsa"] = s.Certificate.Subject.String()
		d["not_after"] = s.Certificate.NotAfter.UTC().Format(time.RFC3339)
	}
}

// record writes a step down.
func (k *keeper) record(ctx context.Context, c register.Closing, a register.Advance) (register.Closing, error) {
	after, err := k.archive.office.AdvanceClosing(ctx, c.Organization, c.Register, c.ID, a)
	if err == nil && after.Reached != c.Reached {
		k.log.Info("a closing went on", "closing", c.ID, "state", after.State)
	}
	return after, err
}
