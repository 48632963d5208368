package sign

// PKCS11 names a key in a smart card or HSM.
type PKCS11 struct {
	Module string // path of the shared library
	Token  string // label of the token
	Key    string // label of the key pair
	PIN    []byte
	// CertificateFile holds the certificate, and those above it, in PEM; empty:
	// the token has it, under the key's label or identifier.
	CertificateFile string
}
