package cms

import (
	"encoding/asn1"
	"fmt"
	"io"
	"slices"
)

var oidTimeStampedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 31}

// TimeStampedFile is a TimeStampedData (RFC 5544 §2), as in .tsd files: a file
// and the time stamps that prove when it was there.
type TimeStampedFile struct {
	FileName  string // as it says; "" when it does not
	MediaType string
	// Prefix is what a time stamp is of before the content: the metadata, where
	// they say that they are protected; else it is empty (§2, hashProtected).
	Prefix []byte
	// Tokens are the time stamps. The first one is of Prefix and content, each
	// further one of the one before it.
	Tokens [][]byte
	// Length is that of the encoding: the input may go on behind it.
	Length int64

	encapsulated *Content
}

// Encapsulated is the file where it stands in the input; nil when it is
// elsewhere.
func (t *TimeStampedFile) Encapsulated() *Content { return t.encapsulated }

// OpenTimeStamped reads a TimeStampedData in BER or DER whose content stays where
// it is, as Open does. Nothing is verified.
func OpenTimeStamped(r io.ReaderAt, size int64) (*TimeStampedFile, error) {
	s := scanner{in: newWindow(r, size), shape: timeStamped}
	kind, err := s.contentInfo()
	if err != nil || kind != TimeStamped {
		return nil, fmt.Errorf("%w: it is no TimeStampedData", ErrMalformed)
	}
	der, err := s.structure()
	if err != nil {
		return nil, err
	}
	t, err := decodeTimeStamped(der)
	if err != nil {
		return nil, err
	}
	t.Length = s.pos
	t.encapsulated, err = s.content(s.found)
	return t, err
}

// timeStampedOrder are the tags of the fields, in their order: version, dataUri,
// metaData, content, and the evidence, of which only time stamps are read.
var timeStampedOrder = []byte{asn1.TagInteger, asn1.TagIA5String, sequenceTag, octetString, explicit0}

// decodeTimeStamped reads the structure, in which an empty octet string stands
// for the content.
func decodeTimeStamped(der []byte) (*TimeStampedFile, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if err := exact(der, &outer); err != nil {
		return nil, err
	}
	fields, err := children(outer.Content.Bytes)
	if err != nil {
		return nil, err
	}
	t := &TimeStampedFile{}
	place := -1
	for _, f := range fields {
		at := slices.Index(timeStampedOrder, f[0])
		if at <= place {
			return nil, fmt.Errorf("%w: a field or evidence %#x in time-stamped data", ErrUnsupported, f[0])
		}
		switch place = at; f[0] {
		case sequenceTag:
			err = t.metaData(f)
		case explicit0:
			err = t.evidence(f)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(t.Tokens) == 0 {
		return nil, fmt.Errorf("%w: time-stamped data without a time stamp", ErrMalformed)
	}
	return t, nil
}

func (t *TimeStampedFile) metaData(der []byte) error {
	var m struct {
		Protected bool
		Name      string        `asn1:"optional,utf8"`
		MediaType string        `asn1:"optional,ia5"`
		Other     asn1.RawValue `asn1:"optional"`
	}
	if err := exact(der, &m); err != nil {
		return err
	}
	t.FileName, t.MediaType = m.Name, m.MediaType
	if m.Protected {
		t.Prefix = der
	}
	return nil
}

// evidence reads TimeStampTokenEvidence: each token may have a CRL with it.
func (t *TimeStampedFile) evidence(der []byte) error {
	all, err := children(der)
	if err != nil {
		return err
	}
	for _, one := range all {
		parts, err := children(one)
		if err != nil || len(parts) == 0 {
			return fmt.Errorf("%w: the evidence of time-stamped data", ErrMalformed)
		}
		t.Tokens = append(t.Tokens, parts[0])
	}
	return nil
}
