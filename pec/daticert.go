package pec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"
)

// xmlDepth bounds the nesting of daticert.xml, which has four levels.
const xmlDepth = 32

// recipientsMax bounds the destinatari that are kept.
const recipientsMax = 5000

var errNoPostacert = errors.New("its root element is not postacert")

// parseDaticert reads daticert.xml (RFC 6109 §4.4, the DTD of the technical
// rules). Beside an error it returns what could be read. Mixed content, other
// orders and unknown elements are tolerated; values outside the enumerations
// are kept as they are.
func parseDaticert(data []byte) (*Certificate, error) {
	c := &Certificate{Recipients: []Recipient{}}
	date := map[string]string{}
	err := walkXML(data, func(path string, attrs map[string]string, text string) error {
		name, ok := strings.CutPrefix(path, "postacert")
		if !ok || name != "" && name[0] != '/' {
			return errNoPostacert
		}
		c.set(strings.TrimPrefix(name, "/"), attrs, line(text), date)
		return nil
	})
	if err == nil && c.Type == "" {
		err = errNoPostacert
	}
	c.Time = certificateTime(date)
	c.Notice = c.notice()
	if err == nil && c.Time == nil {
		err = errors.New("it has no readable date")
	}
	return c, err
}

// notices are what providers write into errore-esteso of the second notice of an
// overdue delivery, and of the first: header and tipo are the same.
var notices = []struct{ words, notice string }{
	{"5.4.1", "24h"}, {"24 ore", "24h"}, {"ventiquattro", "24h"}, {"12 ore", "12h"}, {"dodici", "12h"},
}

// notice tells the two notices of an overdue delivery apart (RFC 6109 §3.1.6).
func (c *Certificate) notice() string {
	if c.Type != "preavviso-errore-consegna" {
		return ""
	}
	text := strings.ToLower(c.ErrorDetail)
	for i, n := range notices {
		if i == 0 && strings.HasPrefix(text, n.words) || i > 0 && strings.Contains(text, n.words) {
			return n.notice
		}
	}
	return ""
}

// set takes over one element; of elements that may stand once the first counts.
func (c *Certificate) set(path string, attrs map[string]string, text string, date map[string]string) {
	once := map[string]*string{
		"intestazione/mittente": &c.Sender, "intestazione/risposte": &c.ReplyTo,
		"intestazione/oggetto": &c.Subject, "dati/gestore-emittente": &c.Provider,
		"dati/consegna": &c.DeliveredTo, "dati/errore-esteso": &c.ErrorDetail,
	}
	put := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	switch path {
	case "":
		put(&c.Type, line(attrs["tipo"]))
		put(&c.Error, line(attrs["errore"]))
		put(&c.Error, "nessuno") // the DTD's default
	case "intestazione/destinatari":
		kind := line(attrs["tipo"])
		put(&kind, "certificato") // the DTD's default
		if len(c.Recipients) < recipientsMax {
			c.Recipients = append(c.Recipients, Recipient{Address: text, Kind: kind})
		}
	case "dati/identificativo":
		put(&c.Identifier, messageID(text))
	case "dati/msgid":
		put(&c.MessageID, messageID(text))
		put(&c.Reference, c.MessageID)
	case "dati/ricevuta":
		put(&c.Detail, line(attrs["tipo"]))
	case "dati/data":
		date["zona"] = attrs["zona"]
	case "dati/data/giorno", "dati/data/ora":
		date[path[len("dati/data/"):]] = text
	default:
		if to := once[path]; to != nil {
			put(to, text)
		}
	}
}

// certificateTime is data with giorno (gg/mm/aaaa), ora (hh:mm:ss) and zona
// ([+-]hhmm), legal time (RFC 6109 §4.2); nil when one is missing.
func certificateTime(date map[string]string) *time.Time {
	s := date["giorno"] + " " + date["ora"] + " " + strings.Trim(date["zona"], " ()")
	for _, layout := range []string{"2/1/2006 15:04:05 -0700", "2/1/2006 15:04:05 -07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return sensible(t)
		}
	}
	return nil
}

// walkXML calls element at the end of each element with its path of local
// names, its attributes and its own text. Entities beyond XML's five are an
// error, so nothing expands.
func walkXML(data []byte, element func(path string, attrs map[string]string, text string) error) error {
	type level struct {
		path  string
		attrs map[string]string
		text  strings.Builder
	}
	d := xml.NewDecoder(bytes.NewReader(repairXML(data)))
	d.CharsetReader = xmlCharset
	var stack []*level
	ended := false // the root element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) >= xmlDepth {
				return errors.New("it is nested too deeply")
			}
			if ended {
				return errors.New("something follows its root element")
			}
			l := &level{path: t.Name.Local, attrs: map[string]string{}}
			if len(stack) > 0 {
				l.path = stack[len(stack)-1].path + "/" + l.path
			}
			seen := map[xml.Name]bool{}
			for _, a := range t.Attr {
				if seen[a.Name] { // not well-formed, and encoding/xml does not say so
					return errors.New("an attribute stands twice")
				}
				seen[a.Name] = true
				l.attrs[a.Name.Local] = a.Value
			}
			stack = append(stack, l)
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text.Write(t)
			}
		case xml.EndElement:
			l := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			ended = len(stack) == 0
			if err := element(l.path, l.attrs, l.text.String()); err != nil {
				return err
			}
		}
	}
}

// repairXML drops a byte order mark and turns bytes that are declared UTF-8,
// or nothing, but are not, into UTF-8.
func repairXML(data []byte) []byte {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	head := strings.ToLower(string(data[:min(len(data), 200)]))
	if _, decl, ok := strings.Cut(head, "encoding="); ok && !strings.HasPrefix(strings.Trim(decl, `"' `), "utf-8") {
		return data
	}
	text, _ := toUTF8(data, "")
	return []byte(text)
}

func xmlCharset(name string, in io.Reader) (io.Reader, error) {
	e, ok := lookupCharset(strings.ToLower(name))
	if !ok {
		return nil, errors.New("its character set is not known")
	}
	return e.NewDecoder().Reader(in), nil
}
