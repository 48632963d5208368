package pec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"time"
)

// remNamespaces are the evidence schemas of European registered mail: EN 319
// 522-3 and the older TS 102 640-2.
var remNamespaces = []string{"http://uri.etsi.org/19522/v1#", "http://uri.etsi.org/02640/v2#"}

// remTypes are the PEC counterparts of the events of EN 319 522-1 (last path
// element of ERDSEventId) and of the TS 102 640 evidence names. Other events
// are kept under their own name.
var remTypes = map[string]string{
	"SubmissionAcceptance":      "accettazione",
	"SubmissionRejection":       "non-accettazione",
	"RelayAcceptance":           "presa-in-carico",
	"RelayFailure":              "preavviso-errore-consegna",
	"ContentConsignment":        "avvenuta-consegna",
	"ContentConsignmentFailure": "errore-consegna",
	"RelayREMMDFailure":         "preavviso-errore-consegna",
}

// isEvidence tells by the root element that data is a REM evidence.
func isEvidence(data []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(repairXML(data)))
	d.CharsetReader = xmlCharset
	for range 20 { // declarations and comments may come first
		token, err := d.Token()
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok {
			return slices.Contains(remNamespaces, start.Name.Space)
		}
	}
	return false
}

// parseEvidence reads the fields of a REM evidence that have a place in
// Certificate.
func parseEvidence(data []byte) (*Certificate, error) {
	c := &Certificate{Recipients: []Recipient{}, Error: "nessuno"}
	err := walkXML(data, func(path string, _ map[string]string, text string) error {
		root, name, inside := strings.Cut(path, "/")
		text = line(text)
		switch {
		case !inside:
			if c.Type == "" {
				c.Type = remType(root)
			}
		case name == "ERDSEventId":
			c.Type = remType(text[strings.LastIndexByte(text, '/')+1:])
		case name == "EvidenceIdentifier":
			c.Identifier = text
		case name == "MessageIdentifier":
			c.MessageID = messageID(text)
		case name == "EventTime":
			if t, err := time.Parse(time.RFC3339, text); err == nil {
				c.Time = sensible(t)
			}
		}
		return nil
	})
	if err == nil && c.Time == nil {
		err = errors.New("it has no readable EventTime")
	}
	return c, err
}

func remType(event string) string {
	if t, ok := remTypes[event]; ok {
		return t
	}
	return event
}
