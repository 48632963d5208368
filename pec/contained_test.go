package pec_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// around is a message with parts, each a whole header and body.
func around(header string, parts ...string) []byte {
	var b strings.Builder
	b.WriteString(header + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=esterno\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--esterno\r\n" + p + "\r\n")
	}
	b.WriteString("--esterno--\r\n")
	return []byte(b.String())
}

const ordinaryHeader = "From: Lucia Verdi <lucia@example.it>\r\nTo: ordine@example.it\r\nSubject: Fwd: documenti\r\n"

// TestContainedPEC: a certified message inside another is judged for itself, in
// whatever way it was put there; the message round it is what it is.
func TestContainedPEC(t *testing.T) {
	p := theProvider()
	raw := string(genuine(t, p))
	header, _ := cut(t, []byte(raw))
	encoded := lines(base64.StdEncoding.EncodeToString([]byte(raw)))
	list := strings.Join(slices.DeleteFunc(slices.Clone(header), func(h string) bool {
		return strings.HasPrefix(strings.ToLower(h), "content-type") || strings.HasPrefix(strings.ToLower(h), "mime-version")
	}), "\r\n") + "\r\n"
	signed := raw[strings.Index(raw, "Content-Type: multipart/signed"):]
	tampered := strings.Replace(raw, "Buongiorno", "Buonasera!", 1)
	text := "Content-Type: text/plain\r\n\r\nIn allegato.\r\n"
	for name, test := range map[string]struct {
		raw  []byte
		part string
		want pec.Authenticity
	}{
		"forwarded as attachment":    {around(ordinaryHeader, text, "Content-Type: message/rfc822\r\n\r\n"+raw), "2", pec.Certified},
		"as a file of its own":       {around(ordinaryHeader, text, "Content-Type: application/octet-stream; name=\"posta.EML\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"+encoded), "2", pec.Certified},
		"altered before it was sent": {around(ordinaryHeader, text, "Content-Type: message/rfc822\r\n\r\n"+tampered), "2", pec.Broken},
		"wrapped by a mailing list":  {around(strings.Replace(list, "Subject: ", "Subject: [soci] ", 1), signed, "Content-Type: text/plain\r\n\r\n_____\r\nLista soci\r\n"), "1", pec.Certified},
		"two levels down": {around(ordinaryHeader, text, "Content-Type: message/rfc822\r\n\r\n"+
			string(around(strings.ReplaceAll(ordinaryHeader, "esterno", "x"), "Content-Type: message/rfc822\r\n\r\n"+raw))), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.raw = nestBoundaries(test.raw)
			a := read(test.raw, p)
			if a.Kind != pec.Email || a.Authenticity != pec.Unsigned || a.PEC != nil {
				t.Errorf("the message round it is %s %s %v", a.Kind, a.Authenticity, a.PEC)
			}
			if test.want == "" {
				test.part, test.want = "2.1", pec.Certified
			}
			if len(a.Contained) != 1 {
				t.Fatalf("contains %+v", a.Contained)
			}
			c := a.Contained[0]
			if c.Part != test.part || c.Kind != pec.PECTransport || c.Authenticity != test.want || c.PEC == nil || c.PEC.Type != "posta-certificata" {
				t.Errorf("contains %+v", c)
			}
			if wrapped := name == "wrapped by a mailing list"; wrapped != slices.Contains(codes(a), pec.PECWrapped) || wrapped && slices.Contains(codes(a), pec.PECLookalike) {
				t.Errorf("warnings %v", a.Warnings)
			}
		})
	}
}

// nestBoundaries gives the inner one of two equal boundaries another name.
func nestBoundaries(raw []byte) []byte {
	s := string(raw)
	first := strings.Index(s, "boundary=esterno")
	second := strings.Index(s[first+1:], "boundary=esterno")
	if second < 0 {
		return raw
	}
	second += first + 1
	end := second + strings.Index(s[second:], "--esterno--") + len("--esterno--")
	inner := strings.ReplaceAll(strings.ReplaceAll(s[second:end], "boundary=esterno", "boundary=interno"), "--esterno", "--interno")
	return []byte(s[:second] + inner + s[end:])
}

func lines(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s
}

// TestOriginalThatIsItselfPEC: an envelope round an envelope, as forwarding
// provides; each with the judgement of its own signature.
func TestOriginalThatIsItselfPEC(t *testing.T) {
	p := theProvider()
	raw := genuine(t, p)
	for depth := 1; depth <= 4; depth++ {
		d, err := p.Submit(raw, sample.Submission{})
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = d.Envelope(); err != nil {
			t.Fatal(err)
		}
		a := read(raw, p)
		if a.Authenticity != pec.Certified || len(a.Contained) != depth {
			t.Fatalf("depth %d: %s, contains %+v", depth, a.Authenticity, a.Contained)
		}
		for i, c := range a.Contained {
			if c.Authenticity != pec.Certified || c.Kind != pec.PECTransport || (c.Part == "") != (i == 0) {
				t.Errorf("depth %d: contains %+v", depth, c)
			}
		}
	}
}

// TestContainedIsBounded: a message with very many signed messages in it is
// analysed all the same.
func TestContainedIsBounded(t *testing.T) {
	raw := string(genuine(t, theProvider()))
	parts := slices.Repeat([]string{"Content-Type: message/rfc822\r\n\r\n" + raw}, 60)
	a := read(around(ordinaryHeader, parts...), theProvider())
	if len(a.Contained) != 20 || !slices.Contains(codes(a), pec.TooManyParts) {
		t.Errorf("%d contained, warnings %v", len(a.Contained), a.Warnings)
	}
}

// TestFilesOfAnAttachedMessage are listed, and opened, also when the message is
// encoded.
func TestFilesOfAnAttachedMessage(t *testing.T) {
	inner := string(sample.Mail{From: "a@b.it", Subject: "dentro", Text: "x", Files: []sample.File{{Name: "dentro.pdf", MediaType: "application/pdf", Data: []byte("contenuto")}}}.Bytes())
	for name, part := range map[string]string{
		"as it stands": "Content-Type: message/rfc822\r\n\r\n" + inner,
		"encoded":      "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(base64.StdEncoding.EncodeToString([]byte(inner))),
		"as a file":    "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=x.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(base64.StdEncoding.EncodeToString([]byte(inner))),
	} {
		raw := around(ordinaryHeader, "Content-Type: text/plain\r\n\r\nx\r\n", part)
		a := read(raw, theProvider())
		checkComplete(t, raw, a)
		i := slices.IndexFunc(a.Attachments, func(f pec.Attachment) bool { return f.Name == "dentro.pdf" })
		if i < 0 || a.Attachments[i].Part != "2.2" || a.Attachments[i].Size != int64(len("contenuto")) {
			t.Errorf("%s: %+v", name, a.Attachments)
		}
	}
}

// TestContainedMessagesAreNotHashedAgainAndAgain: each envelope round a large
// message repeats its bytes; not all of them are judged.
func TestContainedMessagesAreNotHashedAgainAndAgain(t *testing.T) {
	p := theProvider()
	raw := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x", Files: []sample.File{{Name: "x.bin", MediaType: "application/octet-stream", Data: make([]byte, 1<<20)}}}.Bytes()
	for range 7 {
		d, err := p.Submit(raw, sample.Submission{})
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = d.Envelope(); err != nil {
			t.Fatal(err)
		}
	}
	a := read(raw, p)
	if a.Authenticity != pec.Certified || len(a.Contained) == 0 || len(a.Contained) >= 6 || !slices.Contains(codes(a), pec.Unhashed) {
		t.Errorf("%s, %d contained, warnings %v", a.Authenticity, len(a.Contained), a.Warnings)
	}
}

// TestEncodingsInEncodingsAreBounded: messages in base64 in one another are
// opened so far, and what lies deeper stays a closed file.
func TestEncodingsInEncodingsAreBounded(t *testing.T) {
	raw := string(sample.Mail{From: "a@b.it", Subject: "x", Text: "x"}.Bytes())
	for range 8 {
		raw = string(around(ordinaryHeader, "Content-Type: application/octet-stream; name=x.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n"+lines(base64.StdEncoding.EncodeToString([]byte(raw)))))
	}
	a := read([]byte(raw), theProvider())
	checkComplete(t, []byte(raw), a)
	if len(a.Attachments) != 5 || !slices.Contains(codes(a), pec.TooDeep) {
		t.Errorf("%d attachments, warnings %v", len(a.Attachments), a.Warnings)
	}
}
