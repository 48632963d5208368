package pec

import "github.com/protodaemon/protodaemon/cms"

// CheckCMS verifies the values of a CMS signature over content, without trust.
func CheckCMS(ber, content []byte) SignatureStatus {
	sd, err := cms.Parse(ber)
	if err != nil {
		return failed(err).status
	}
	digest := cms.NewDigester(sd.Digests()...)
	digest.Write(content)
	return check(sd, digest).status
}
