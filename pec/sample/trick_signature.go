package sample

import (
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// signatureTricks confuse who signed with what: the content inside a signature
// with the one outside, the signer with a provider.
var signatureTricks = []trick{
	{"firma-con-contenuto-suo", func(f *forge) string { return f.signedBy(f.entity, Form{Inside: []byte(page())}, f.m.p.signer()) }, broken()},
	{"firma-con-lo-stesso-contenuto", func(f *forge) string { return f.signedBy(f.entity, Form{Inside: []byte(f.entity)}, f.m.p.signer()) }, broken()},
	{"firma-opaca-per-un-altro-contenuto", func(f *forge) string {
		return f.outer(f.contentType(), f.forged(), f.part(f.cms(Form{Inside: []byte(f.entity)})))
	}, broken(pec.EnvelopeSubjectDiffers)},
	{"firma-di-un-altro-messaggio", func(f *forge) string {
		other, err := f.m.forge()
		if err != nil {
			f.err = err
			return f.raw
		}
		return f.outer(f.contentType(), f.entity, other.p7s)
	}, broken()},
	{"contenuto-di-un-altro-messaggio", func(f *forge) string { return f.outer(f.contentType(), f.forged(), f.p7s) }, broken(pec.EnvelopeSubjectDiffers)},
	{"opaca-con-altro-contenuto", func(f *forge) string {
		return f.opaque("signed-data", f.cms(Form{Inside: []byte(f.forged())}))
	}, broken(pec.EnvelopeSubjectDiffers)},
	{"opaca-con-tipo-bugiardo", func(f *forge) string { return f.opaque("enveloped-data", f.cms(Form{Opaque: true})) }, certified()},
	{"opaca-come-certificati", func(f *forge) string { return f.opaque("certs-only", f.cms(Form{Opaque: true})) }, certified()},
	{"opaca-senza-contenuto", func(f *forge) string { return f.opaque("signed-data", f.cms(Form{})) },
		verdict{pec.Email, pec.Unsigned, pec.SignatureInvalid, []string{pec.PECLookalike}}},
	{"opaca-con-coda", func(f *forge) string { return f.opaque("signed-data", append(f.cms(Form{Opaque: true}), Canary...)) }, certified()},
	{"opaca-con-testo-dopo", func(f *forge) string { return f.opaque("signed-data", f.cms(Form{Opaque: true})) + page() }, broken()},
	{"opaca-come-firma", func(f *forge) string {
		return strings.Replace(f.opaque("signed-data", f.cms(Form{Opaque: true})), "pkcs7-mime", "pkcs7-signature", 1)
	}, unsigned()},
	{"opaca-accanto-a-un-testo", func(f *forge) string {
		_, body, _ := strings.Cut(f.opaque("signed-data", f.cms(Form{Opaque: true})), "Content-Type: ")
		return strings.Join(f.header, "\r\n") + "\r\nContent-Type: multipart/mixed; boundary=O\r\n\r\n--O\r\n" + page() + "\r\n--O\r\nContent-Type: " + body + "\r\n--O--\r\n"
	}, wrapping()},
	{"opaca-come-seconda-parte", func(f *forge) string {
		_, body, _ := strings.Cut(f.opaque("signed-data", f.cms(Form{Opaque: true})), "Content-Type: ")
		return f.outer(f.contentType(), f.forged(), "Content-Type: "+body)
	}, broken(pec.EnvelopeSubjectDiffers)},
	{"byte-in-piu-nella-firma", func(f *forge) string { return f.outer(f.contentType(), f.entity, f.part(append(f.cms(Form{}), 0))) }, certified()},
	{"carattere-estraneo-nella-firma", func(f *forge) string {
		return f.outer(f.contentType(), f.entity, strings.Replace(f.p7s, "\r\n\r\nM", "\r\n\r\n!M", 1))
	}, broken()},
	{"un-certificato-di-persona", func(f *forge) string { return f.person("canarino@ladri.example") }, distrusted(pec.SignerNoProvider, pec.EnvelopeSubjectDiffers, pec.ProviderDiffers)},
	{"un-certificato-di-persona-senza-campi", func(f *forge) string {
		return strings.Replace(f.person("canarino@ladri.example"), "X-Trasporto: posta-certificata\r\n", "", 1)
	}, distrusted(pec.SignerNoProvider, pec.TypeHeaderMissing, pec.EnvelopeSubjectDiffers, pec.ProviderDiffers)},
	{"una-persona-con-il-nome-del-gestore", func(f *forge) string { return f.person(strings.Replace(f.m.p.Address(), "posta-", "posta_", 1)) }, distrusted(pec.SignerNoProvider, pec.EnvelopeSubjectDiffers, pec.ProviderDiffers)},
	{"un-gestore-sconosciuto", func(f *forge) string {
		stranger, err := f.m.unknown()
		if err != nil {
			f.err = err
			return f.raw
		}
		f.reply(stranger.Address())
		f.d.provider = stranger.options.Name
		return f.signedBy(f.forged(), Form{}, stranger.signer())
	}, distrusted(pec.EnvelopeSubjectDiffers)},
	{"un-gestore-e-uno-sconosciuto", func(f *forge) string {
		stranger, err := f.m.unknown()
		if err != nil {
			f.err = err
			return f.raw
		}
		return f.signedBy(f.entity, Form{With: []*Provider{stranger}}, f.m.p.signer())
	}, distrusted()},
	{"un-certificato-senza-indirizzo-del-gestore", func(f *forge) string {
		by, err := f.m.p.issued(elliptic.P256(), func(c *x509.Certificate) { c.EmailAddresses = []string{evil} })
		if err != nil {
			f.err = err
		}
		return f.signedBy(f.entity, Form{}, by)
	}, distrusted()},
}

// cms is a signature by the provider of the honest entity in a form.
func (f *forge) cms(form Form) []byte {
	form.Digest, form.PSS = f.m.p.options.Digest, f.m.p.options.PSS
	der, err := form.cms([]byte(f.entity), f.m.p.signer())
	if err != nil {
		f.err = err
	}
	return der
}

// part is a signature as a part.
func (f *forge) part(der []byte) string {
	return "Content-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(base64Lines(der))
}

// opaque is the envelope as an application/pkcs7-mime.
func (f *forge) opaque(smimeType string, der []byte) string {
	return strings.Join(f.header, "\r\n") + fmt.Sprintf("\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=%s; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n%s", smimeType, base64Lines(der))
}

// forged is an entity with the layout of the honest one and a certificate and an
// original of the trick's.
func (f *forge) forged() string {
	original := "Content-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Disposition: inline; filename=\"postacert.eml\"\r\n\r\n" +
		"From: " + evil + "\r\nTo: " + recipientAddress + "\r\nSubject: " + Canary + "\r\n\r\n" + Canary + ": pagare subito\r\n"
	return string(joined("mixed", "pec", []byte(page()), []byte(f.lie()), []byte(original)))
}

// person signs a forged envelope with a personal certificate of a trusted CA.
func (f *forge) person(address string) string {
	by, err := f.m.p.person("Ladro <"+address+">", nil)
	if err != nil {
		f.err = err
		return f.raw
	}
	f.reply(address)
	return f.signedBy(f.forged(), Form{}, by)
}

// reply makes an address the sender of the whole message.
func (f *forge) reply(address string) {
	for i, l := range f.header {
		if strings.HasPrefix(l, "From:") {
			f.header[i] = "From: " + address
		}
	}
}
