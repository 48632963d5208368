package document

// The warning codes. They are part of the output and stay.
const (
	// Bounds and damage: the facts are partial.
	TooLarge   = "too-large"  // longer than what is read of one file
	TooMany    = "too-many"   // more files, parties or documents than are listed
	Malformed  = "malformed"  // not what its format says; read until there
	Unreadable = "unreadable" // bytes that could not be read

	// Archives.
	Encrypted      = "encrypted"         // cannot be read without a password
	RatioExceeded  = "ratio-exceeded"    // unpacks to far more than it should
	NotUnpacked    = "not-unpacked"      // beyond what is unpacked, or in a way that is not known
	EntriesOverlap = "entries-overlap"   // parts of the archive lie on one another
	SizeDiffers    = "size-differs"      // unpacks to another size than it says
	NamesDiffer    = "names-differ"      // the archive names a file in two ways
	UnsafeName     = "unsafe-name"       // a name that leads out of its folder
	Macros         = "macros"            // an office document with macros
	BodyCompressed = "body-compressed"   // the text of winmail.dat is there only as compressed RTF
	TimeZone       = "time-zone-unknown" // the time of an event cannot be told

	// Records.
	NamespaceUnknown = "namespace-unknown" // the root element is known, its namespace is not
	NameDiffers      = "name-differs"      // the file's name says another document than its content
	AmountUnreadable = "amount-unreadable" // a total that is no number
)
