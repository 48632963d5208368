package sample

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Large writes a transport envelope of some size in bytes whose one attachment is
// nearly all of it, without ever holding it, and returns what has to be found.
func (p *Provider) Large(w io.Writer, size int64) (Expect, error) {
	line := bytes.Repeat([]byte("protocollo "), 6)[:57] // one line of base64
	mail := Mail{From: "Mario Rossi <mario.rossi@pec.mittente.example>", To: recipientAddress, Subject: "Un allegato grande",
		Date: p.options.Now, MessageID: "grande@mittente.example", Text: bodyPhrase + "\n",
		Files: []File{{Name: "grande.bin", MediaType: "application/octet-stream", Data: line}}}
	d, err := p.Submit(mail.Bytes(), Submission{})
	if err != nil {
		return Expect{}, err
	}
	n := d.envelope()
	wire := base64Lines(line)
	before, after, found := bytes.Cut(d.entity(n), wire)
	if !found {
		return Expect{}, fmt.Errorf("making a large sample: the attachment is not where it should be")
	}
	lines := int(size) / len(wire)
	entity := func(w io.Writer) error {
		if _, err := w.Write(before); err != nil {
			return err
		}
		if err := repeated(w, wire, lines); err != nil {
			return err
		}
		_, err := w.Write(after)
		return err
	}
	sum := sha256.New()
	if err := repeated(sum, line, lines); err != nil {
		return Expect{}, err
	}
	e := Expect{Subject: mail.Subject, Files: []string{"grande.bin"}, SHA256: []string{hex.EncodeToString(sum.Sum(nil))}}
	return e, p.stream(w, d.header(n), entity)
}

// repeated writes b n times, many at once.
func repeated(w io.Writer, b []byte, n int) error {
	const many = 4096
	for block := bytes.Repeat(b, many); n > 0; n -= many {
		if _, err := w.Write(block[:min(n, many)*len(b)]); err != nil {
			return fmt.Errorf("writing a large sample: %w", err)
		}
	}
	return nil
}

// stream writes a signed message whose entity is written twice: for its digest,
// and for the message.
func (p *Provider) stream(w io.Writer, header []string, entity func(io.Writer) error) error {
	digest := p.options.Digest.New()
	if err := entity(digest); err != nil {
		return err
	}
	raw, err := p.signed(p.options.Dialect, header, []byte(placeholder), Form{digest: digest.Sum(nil)}, p.signer())
	if err != nil {
		return err
	}
	before, after, _ := bytes.Cut(raw, []byte(placeholder))
	if _, err := w.Write(before); err != nil {
		return fmt.Errorf("writing a large sample: %w", err)
	}
	if err := entity(w); err != nil {
		return err
	}
	if _, err := w.Write(after); err != nil {
		return fmt.Errorf("writing a large sample: %w", err)
	}
	return nil
}

const placeholder = "\x00entity\x00"
