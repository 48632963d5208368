package document

import (
	"hash/crc32"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Hosts of ZIP entries whose names are in the charset of Unix (§4.4.2).
const (
	hostUnix = 3
	hostMac  = 19
)

const flagUTF8 = 1 << 11 // names are UTF-8 (§4.4.4)

// decodeName is the name of an entry. Only a flag says that it is UTF-8, which
// many programs forget, so what can be UTF-8 is. Else it is in the code page of
// the DOS or Windows that wrote it: in Italy 850, which has the accented letters
// of code page 437 at the same places, and the capital ones that 437 lacks.
func decodeName(raw string, flags uint16, host byte) string {
	if flags&flagUTF8 != 0 || utf8.ValidString(raw) {
		return strings.ToValidUTF8(raw, "\uFFFD")
	}
	if host == hostUnix || host == hostMac {
		return decode([]byte(raw), charmap.Windows1252)
	}
	return decode([]byte(raw), charmap.CodePage850)
}

func crcOf(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }
