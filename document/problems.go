package document

// The codes of Signature.Problems. They are part of the output and stay.
const (
	// The signature does not fit, or it is not known whether it does.
	Changed       = "changed"         // content, attributes or signature value are others
	Damaged       = "damaged"         // the signature is not what its format says
	Unsupported   = "unsupported"     // made in a way that is not verified here
	NoCertificate = "no-certificate"  // the signer's certificate is not there, or cannot be read
	NoContent     = "content-missing" // what was signed is not there, or could not be read
	ByteRange     = "byte-range"      // of a PDF: signed are other bytes than all but the signature itself

	// The signature fits, and something about it should be known.
	WeakDigest     = "weak-digest"      // it rests on SHA-1
	WeakKey        = "weak-key"         // RSA of fewer than 2048 bits
	NotBound       = "not-bound"        // it does not name its certificate, as CAdES, PAdES and XAdES want
	KeyUsage       = "key-usage"        // the certificate is not one for signing documents (nonRepudiation)
	AuthorityKey   = "authority-key"    // the certificate is that of a certification authority
	Countersigned  = "countersigned"    // others signed the signature; who is not told
	TimeUnknown    = "time-unknown"     // nothing says when it was made
	TimeAfterStamp = "time-after-stamp" // the signer says a time after that of the time stamp

	// The certificate.
	Expired         = "expired"          // not valid when the signature was made
	ExpiredSince    = "expired-since"    // … but no more when the file was sent, and only the signer says that it was made before
	Untrusted       = "untrusted"        // does not lead to an anchor
	TrustUnknown    = "trust-unknown"    // so many certificates that its chain is not looked for
	WeakCertificate = "weak-certificate" // signed with SHA-1 or MD5, which is not trusted

	// The time stamp, which is then not used.
	StampChanged    = "stamp-changed"    // it is over something else, or was changed
	StampUnverified = "stamp-unverified" // it could not be read or verified
	StampAuthority  = "stamp-authority"  // made with a certificate that is not for time stamps alone
	StampUntrusted  = "stamp-untrusted"  // its authority does not lead to an anchor
)

// Warnings of files in files, beside those of the formats.
const (
	TooDeep     = "too-deep"    // there are files in it that are not looked into
	NotRead     = "not-read"    // more bytes than are read of files in files
	Interrupted = "interrupted" // the caller's context ended first
	// SignaturesUnread: there may be signatures in it, which were not looked at.
	SignaturesUnread = "signatures-unread"
	TrailingData     = "trailing-data" // bytes behind the signature that it does not cover
)
