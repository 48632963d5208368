package pec

// The warning codes. They are part of the output and stay; docs/formats.md
// repeats this list for users.
const (
	// Bounds: the analysis is partial.
	TooManyParts      = "too-many-parts"       // more parts than Limits.Parts
	TooDeep           = "too-deep"             // nested more deeply than Limits.Depth
	HeaderTooLong     = "header-too-long"      // a header longer than Limits.Header
	MessageTooLarge   = "message-too-large"    // larger than Limits.Size: only digest and size are known
	MessageTruncated  = "message-truncated"    // fewer bytes could be read than the size says
	TextTruncated     = "text-truncated"       // the preview stops at Limits.Text
	DaticertTooLarge  = "daticert-too-large"   // daticert.xml (or a REM evidence) beyond Limits.XML
	SignatureTooLarge = "signature-too-large"  // the signature is beyond its bounds and was not verified
	Unhashed          = "attachments-unhashed" // nested messages repeat so many bytes that some were not hashed
	NotInspected      = "files-not-inspected"  // the files hold more than is looked into
	Interrupted       = "interrupted"          // the caller's context ended first

	// Structure.
	MalformedStructure = "malformed-structure" // a multipart without boundary or end
	MalformedHeader    = "malformed-header"    // a header that programs read in different ways
	DuplicateHeader    = "duplicate-header"    // a field that may stand once stands more often
	UnknownCharset     = "unknown-charset"     // text shown as windows-1252 or UTF-8 by guess
	CharsetGuessed     = "charset-guessed"     // text declared wrongly or not at all, shown in the likeliest character set
	NameCleaned        = "attachment-name-cleaned"
	NameDiffers        = "attachment-name-differs" // programs that read the other of two names show another kind of file
	Encrypted          = "encrypted"               // the content cannot be read without a key

	// The envelope.
	PECLookalike      = "pec-lookalike"       // looks like PEC and is not signed
	PECWrapped        = "pec-wrapped"         // something was put round a certified message
	DaticertMissing   = "daticert-missing"    // no daticert.xml where it has to be
	DaticertSeveral   = "daticert-several"    // more than one: none is believed
	DaticertMalformed = "daticert-malformed"  // daticert.xml is not what RFC 6109 §4.4 says
	PostacertMissing  = "postacert-missing"   // no original message in the envelope
	PostacertSeveral  = "postacert-several"   // more than one original message
	TypeDiffers       = "type-differs"        // the (unsigned) header says another kind than daticert.xml
	TypeHeaderMissing = "type-header-missing" // no X-Trasporto or X-Ricevuta; daticert.xml tells the kind
	UnknownType       = "unknown-type"        // a tipo or header value outside RFC 6109

	// The signature.
	WeakDigest        = "weak-digest"         // the signature rests on SHA-1
	LineEndsChanged   = "line-ends-changed"   // the signature fits once LF is CRLF again
	SignedAnotherTime = "signed-another-time" // the certificate was valid at signingTime, not at the time of the event
	SignerNoProvider  = "signer-no-provider"  // fits and is trusted, but is no posta-certificata@ address
	RevocationUnknown = "revocation-unknown"  // no configured revocation list holds at the time of the event
	EvidenceUnsigned  = "evidence-unsigned"   // the evidence of a REM has no valid signature

	// Cross-checks between what is signed and what is not, or what should agree.
	IdentifierDiffers      = "identifier-differs"       // identificativo is not the envelope's Message-ID
	ReferenceDiffers       = "reference-differs"        // msgid is not X-Riferimento-Message-ID
	SenderDiffers          = "sender-differs"           // mittente is not the inner From
	SenderNameDiffers      = "sender-name-differs"      // the sender's name is the address of somebody else
	RecipientsDiffer       = "recipients-differ"        // a destinatario is neither in To nor in Cc of the inner message
	SubjectDiffers         = "subject-differs"          // oggetto is not the inner Subject
	EnvelopeSubjectDiffers = "envelope-subject-differs" // the subject as received says something else
	ProviderDiffers        = "provider-differs"         // gestore-emittente is not in the certificate's subject
	DeliveredToDiffers     = "delivered-to-differs"     // consegna is none of the destinatari
)
