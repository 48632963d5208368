package archive

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
)

// The bounds of a receipt, which comes from outside.
const (
	maxReceipt      = 8 << 20
	maxReceiptDepth = 60
	maxReceiptText  = 4 << 10 // of one value
)

var errReceipt = errors.New("the receipt cannot be taken")

// Receipt is what a rapporto di versamento says.
type Receipt struct {
	Identity  string // of the package, or of a file of it
	Accepted  bool
	Reason    string
	Reference string // the conservator's own name for it
	At        string
	Digests   []string // hexadecimal
	Signer    string   // who signed it, when it is signed
}

// What a receipt's elements and fields are called: by conservators, and in the
// plain form of ours. Names are compared in lower case.
var receiptNames = map[string]string{
	"identificativo": "identity", "identificativopacchetto": "identity", "idpdv": "identity", "idpacchetto": "identity",
	"identity": "identity", "package": "identity", "numero": "identity",
	"codiceesito": "outcome", "esito": "outcome", "outcome": "outcome", "esitoversamento": "outcome",
	"messaggioerrore": "reason", "motivo": "reason", "reason": "reason", "descrizioneerrore": "reason",
	"urnrapportoversamento": "reference", "urnsip": "reference", "reference": "reference", "identificativordv": "reference", "idrdv": "reference",
	"datarapportoversamento": "at", "dataversamento": "at", "at": "at", "data": "at",
	"hash": "digest", "impronta": "digest", "sha256": "digest", "digest": "digest", "hashversato": "digest",
}

var outcomes = map[string]bool{
	"positivo": true, "warning": true, "ok": true, "accettato": true, "accepted": true, "presoincarico": true, "preso in carico": true,
	"negativo": false, "ko": false, "rifiutato": false, "respinto": false, "rejected": false, "errore": false,
}

// parseReceipt reads a receipt: XML (ParER's EsitoVersamento, or a rapporto di
// versamento with the usual names), JSON, or either in a CAdES signature.
func parseReceipt(b []byte) (r Receipt, err error) {
	if len(b) > maxReceipt {
		return r, fmt.Errorf("%w: it has %d bytes, more than %d", errReceipt, len(b), maxReceipt)
	}
	var signer string
	if sd, err := cms.Parse(b); err == nil && sd.Content != nil {
		s, err := sd.Verify(0, sd.Content)
		if err != nil {
			return r, fmt.Errorf("%w: its signature: %w", errReceipt, err)
		}
		b, signer = sd.Content, s.Certificate.Subject.String()
	}
	var values map[string][]string
	switch text := bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))); {
	case bytes.HasPrefix(text, []byte("<")):
		values, err = xmlValues(text, 0)
	case bytes.HasPrefix(text, []byte("{")):
		values, err = jsonValues(text)
	default:
		err = errors.New("it is neither XML nor JSON")
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", errReceipt, err)
	}
	if len(values["outcome"]) == 0 {
		return r, fmt.Errorf("%w: it tells no outcome", errReceipt)
	}
	r = Receipt{Identity: strings.Join(values["identity"], "\n"), Reason: first(values["reason"]), Reference: first(values["reference"]),
		At: first(values["at"]), Digests: values["digest"], Signer: signer}
	known, strange := false, ""
	for _, o := range values["outcome"] {
		accepted, ok := outcomes[strings.ToLower(o)]
		switch {
		case !ok:
			strange = o
		case known && accepted != r.Accepted:
			r.Accepted = false // one part was refused
		default:
			r.Accepted, known = accepted, true
		}
	}
	// What is said beside «ok» in words that nobody knows may be that it is not.
	if !known || r.Accepted && strange != "" {
		return r, fmt.Errorf("%w: the outcome %q is not known", errReceipt, clipped(strange))
	}
	return r, nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// clipped is a foreign text short enough for a message.
func clipped(s string) string { return clippedTo(s, 100) }

func clippedTo(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// maxReason bounds what a conservator says of a package that he refuses.
const maxReason = 2000

// xmlValues collects the texts of the elements that are known. ParER puts the
// receipt itself as text into an element of its answer: it is read too.
func xmlValues(b []byte, within int) (map[string][]string, error) {
	values := map[string][]string{}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = receiptCharset
	d.Entity = map[string]string{}
	var path []string
	var ended bool
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is not well-formed XML: %w", err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("it has a document type declaration")
		case xml.StartElement:
			if ended {
				return nil, errors.New("it is not one document: something follows its root")
			}
			path = append(path, strings.ToLower(t.Name.Local))
			if len(path) > maxReceiptDepth {
				return nil, errors.New("it is nested too deeply")
			}
			text.Reset()
		case xml.CharData:
			if text.Len()+len(t) <= maxReceipt {
				text.Write(t)
			}
		case xml.EndElement:
			value := strings.TrimSpace(text.String())
			text.Reset()
			name := path[len(path)-1]
			path = path[:len(path)-1]
			ended = len(path) == 0
			if name == "rapportoversamento" && strings.HasPrefix(value, "<") && within == 0 {
				inner, err := xmlValues([]byte(value), 1)
				if err != nil {
					return nil, err
				}
				for k, v := range inner {
					values[k] = append(values[k], v...)
				}
				continue
			}
			if k := receiptNames[name]; k != "" && value != "" && len(value) <= maxReceiptText && len(values[k]) < 1000 {
				values[k] = append(values[k], value)
			}
		}
	}
}

// receiptCharset reads what older systems of conservation still write.
func receiptCharset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "iso-8859-1", "iso-8859-15", "windows-1252":
		return charmap.Windows1252.NewDecoder().Reader(in), nil // the same but for controls and rare signs
	case "us-ascii":
		return in, nil
	}
	return nil, fmt.Errorf("its encoding is %q", clipped(name))
}

func jsonValues(b []byte) (map[string][]string, error) {
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	values := map[string][]string{}
	for name, v := range fields {
		k := receiptNames[strings.ToLower(name)]
		switch v := v.(type) {
		case string:
			if k != "" && len(v) <= maxReceiptText {
				values[k] = append(values[k], v)
			}
		case []any:
			for _, one := range v[:min(len(v), 1000)] {
				if s, ok := one.(string); ok && k != "" && len(s) <= maxReceiptText {
					values[k] = append(values[k], s)
				}
			}
		}
	}
	return values, nil
}

// concerns tells whether the receipt names the package: by its identity, by
// the daily register's name, or by the digest of the package or a file in it.
// One that holds the digest of a former version of the package is of that one.
func (r Receipt) concerns(c register.Closing) bool {
	var named, former, present bool
	for id := range strings.SplitSeq(r.Identity, "\n") {
		named = named || c.Parcel != nil && id == c.Parcel.Identity || id == c.Name
	}
	for _, f := range c.Files {
		if !ofThisClosing[f.Role] || !r.holds(f) {
			continue
		}
		named = true
		if f.Role == register.FilePackage {
			current := c.Parcel != nil && f.Name == c.Parcel.File
			former, present = former || !current, present || current
		}
	}
	return named && (present || !former)
}

// ofThisClosing are the files that stand for a closing and its package; receipts
// and renewals may tell of others too.
var ofThisClosing = map[string]bool{
	register.FilePackage: true,
	register.FileXML:     true, register.FilePDF: true, register.FileImprints: true,
	register.FileXMLSigned: true, register.FilePDFSigned: true, register.FileImprintsSigned: true,
	register.FilePDFStamped: true, register.FileImprintsStamped: true,
}

// holds tells whether the receipt has the digest of a file.
func (r Receipt) holds(f register.ClosingFile) bool {
	return slices.ContainsFunc(r.Digests, func(d string) bool {
		return strings.EqualFold(d, hex.EncodeToString(f.SHA256[:])) || d == base64.StdEncoding.EncodeToString(f.SHA256[:])
	})
}

// take records a receipt: the closing is accepted or rejected by it.
func (k *keeper) take(ctx context.Context, c register.Closing, b []byte) (register.Closing, error) {
	r, err := parseReceipt(b)
	if err != nil {
		return c, err
	}
	if !r.concerns(c) {
		return c, fmt.Errorf("%w: it names neither the package %s nor a file of it", errReceipt, c.Parcel.Identity)
	}
	n := 1
	for _, f := range c.Files {
		if f.Role == register.FileReceipt {
			n++
		}
	}
	f, err := k.keepBytes(ctx, fmt.Sprintf("RdV-%s-%d%s", c.Name, n, receiptExtension(b)), receiptMedia(b), register.FileReceipt, b)
	if err != nil {
		return c, err
	}
	a := register.Advance{From: register.ClosingDelivered, To: register.ClosingRejected, Files: []register.ClosingFile{f},
		Detail: map[string]string{"receipt": f.Name, "reference": clipped(r.Reference), "date": clipped(r.At)}}
	if r.Signer != "" {
		a.Detail["signer"] = clippedTo(r.Signer, maxReason)
	}
	if r.Accepted {
		a.To = register.ClosingAccepted
	} else {
		a.Detail["reason"] = or(clippedTo(r.Reason, maxReason), "senza motivo")
	}
	return k.record(ctx, c, a)
}

func receiptExtension(b []byte) string {
	switch text := bytes.TrimSpace(b); {
	case bytes.HasPrefix(text, []byte("{")):
		return ".json"
	case bytes.HasPrefix(text, []byte("\x30")):
		return ".p7m"
	}
	return ".xml"
}

func receiptMedia(b []byte) string {
	return map[string]string{".json": "application/json", ".p7m": mediaP7M, ".xml": mediaXML}[receiptExtension(b)]
}
