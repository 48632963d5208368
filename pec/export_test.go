package pec

// CheckCMS verifies the values of a CMS signature over content, without trust.
func CheckCMS(ber, content []byte) SignatureStatus {
	sd, err := parseCMS(ber)
	if err != nil {
		return failed(err).status
	}
	return sd.check(content).status
}
