package document

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"regexp"
	"strings"
)

// certificateText bounds what is shown of a name in a certificate.
const certificateText = 300

// signer fills in who a certificate is about.
func (s *Signature) signer(c *x509.Certificate) {
	if c == nil {
		return
	}
	s.Signer = personIn(c.Subject)
	s.TaxCode = taxCode(c)
	if o := first(c.Subject.Organization); !strings.EqualFold(o, "non presente") { // what Italian certificates say for none
		s.Organization = o
	}
	s.Email = first(c.EmailAddresses)
	if s.Email == "" {
		s.Email = attributeOf(c.Subject, oidEmail)
	}
	s.Issuer = personIn(c.Issuer)
	s.NotBefore, s.NotAfter = sensible(c.NotBefore), sensible(c.NotAfter)
}

var (
	oidEmail          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidSurname        = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName      = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}
	oidQCStatements   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
)

// personIn is a name for people: the common name, else given name and surname,
// else the organization.
func personIn(n pkix.Name) string {
	for _, name := range []string{n.CommonName, attributeOf(n, oidGivenName) + " " + attributeOf(n, oidSurname), first(n.Organization)} {
		if name = lineOf(name, certificateText); name != "" {
			return name
		}
	}
	return lineOf(n.String(), certificateText)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return lineOf(list[0], certificateText)
}

func attributeOf(n pkix.Name, oid asn1.ObjectIdentifier) string {
	for _, a := range n.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oid) {
			return lineOf(s, certificateText)
		}
	}
	return ""
}

// fiscalCode is the form of a person's codice fiscale, with the letters that
// stand for digits when two people would have the same one (DM 23/12/1976).
var fiscalCode = regexp.MustCompile(`^[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]$`)

// taxCode is the signer's codice fiscale. EN 319 412-1 §5.1.3 writes it into
// serialNumber as TINIT-…, Italian rules before it as IT:… or CF:…; the cards of
// citizens (CNS) begin their common name with it; a seal has its organization's.
func taxCode(c *x509.Certificate) string {
	for _, said := range []string{c.Subject.SerialNumber, attributeOf(c.Subject, oidOrganizationID)} {
		for _, prefix := range []string{"TINIT-", "IT:", "CF:IT-", "CF:", "PNOIT-"} {
			if code, ok := strings.CutPrefix(strings.ToUpper(said), prefix); ok {
				return lineOf(code, 40)
			}
		}
		if said = strings.ToUpper(said); fiscalCode.MatchString(said) {
			return said
		}
	}
	for part := range strings.SplitSeq(strings.ToUpper(lineOf(c.Subject.CommonName, certificateText)), "/") {
		if fiscalCode.MatchString(part) {
			return part
		}
	}
	return ""
}

// certificateProblems are those of a certificate that signs documents.
func certificateProblems(c *x509.Certificate) []string {
	var problems []string
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		problems = append(problems, WeakKey)
	}
	if c.BasicConstraintsValid && c.IsCA {
		problems = append(problems, AuthorityKey)
	}
	// EN 319 412-2 §4.3.2: a signature that binds has nonRepudiation.
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageContentCommitment == 0 {
		problems = append(problems, KeyUsage)
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
		problems = append(problems, WeakCertificate)
	}
	return problems
}
