package sample

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/mail"
	"strings"
)

// Sign puts an entity into a signed message with these header fields; it is
// how envelopes are made, and how tests make ones no honest provider would.
func (p *Provider) Sign(header []string, entity []byte) ([]byte, error) {
	return p.SignAs(header, entity, Form{})
}

// SignAs is Sign in another form.
func (p *Provider) SignAs(header []string, entity []byte, f Form) ([]byte, error) {
	return p.signed(p.options.Dialect, header, entity, f, p.signer())
}

func (p *Provider) signer() signer {
	return signer{p.leaf, p.key, []*x509.Certificate{p.ca}}
}

// signed makes a multipart/signed, or an application/pkcs7-mime (RFC 8551 §3.5).
func (p *Provider) signed(d Dialect, header []string, entity []byte, f Form, by signer) ([]byte, error) {
	f.PSS = f.PSS || p.options.PSS
	if f.Digest == 0 {
		f.Digest = p.options.Digest
	}
	all := []signer{by}
	for _, other := range f.With {
		all = append(all, other.signer())
	}
	der, err := f.cms(entity, all...)
	if err != nil {
		return nil, fmt.Errorf("signing a sample: %w", err)
	}
	var b bytes.Buffer
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	media := d.signature()
	if f.Opaque {
		fmt.Fprintf(&b, "Content-Type: %s; smime-type=signed-data; name=\"smime.p7m\"\r\nContent-Transfer-Encoding: base64\r\n"+
			"Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n", strings.Replace(media, "signature", "mime", 1))
		b.Write(base64Lines(der))
		return b.Bytes(), nil
	}
	part := append([]byte("Content-Type: "+media+"; name=\"smime.p7s\"\r\n"+
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"), d.base64(der)...)
	b.Write(joinedAs("multipart/signed", fmt.Sprintf("; protocol=%q; micalg=%q", media, d.micalg(f.Digest)), "sig", entity, part))
	return b.Bytes(), nil
}

// micalgs are the names of RFC 8551 §3.5.3.2; providers write the old one of
// SHA-1.
var micalgs = map[crypto.Hash]string{
	crypto.SHA1: "sha1", crypto.SHA224: "sha-224", crypto.SHA256: "sha-256", crypto.SHA384: "sha-384", crypto.SHA512: "sha-512",
}

// base64 is the text of a signature part.
func (d Dialect) base64(der []byte) []byte {
	if d.OneLine {
		return []byte(base64.StdEncoding.EncodeToString(der) + "\r\n")
	}
	return base64Lines(der)
}

// Personal signs a mail in its writer's name, with a certificate of the
// provider's CA that change may spoil.
func (p *Provider) Personal(m Mail, change func(*x509.Certificate)) ([]byte, error) {
	return p.personal(m, Form{}, change)
}

func (p *Provider) personal(m Mail, f Form, change func(*x509.Certificate)) ([]byte, error) {
	by, err := p.person(m.From, change)
	if err != nil {
		return nil, err
	}
	body := m.entity()
	head := bytes.TrimSuffix(m.Bytes(), append([]byte("MIME-Version: 1.0\r\n"), body...))
	return p.signed(p.options.Dialect, strings.Split(strings.TrimSuffix(string(head), "\r\n"), "\r\n"), body, f, by)
}

// person issues a certificate to whom a From field names.
func (p *Provider) person(from string, change func(*x509.Certificate)) (signer, error) {
	a, err := mail.ParseAddress(from)
	if err != nil {
		return signer{}, fmt.Errorf("reading the From of the mail: %w", err)
	}
	key, err := p.persons()
	if err != nil {
		return signer{}, fmt.Errorf("making a personal key: %w", err)
	}
	cert, err := p.certify(key.Public(), "", a.Name, a.Address, change)
	if err != nil {
		return signer{}, fmt.Errorf("making a personal certificate: %w", err)
	}
	return signer{cert, key, []*x509.Certificate{p.ca}}, nil
}
