package sample

import (
	"bytes"

	"github.com/protodaemon/protodaemon/pec"
)

// submit hands a mail in at this mixer's time, with what changes the way it is
// sent.
func (m *mixer) submit(mail Mail, s Submission, changes ...func(*Dispatch)) (*Dispatch, error) {
	s.Time = m.at
	d, err := m.p.Submit(mail.Bytes(), s)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		change(d)
	}
	return d, nil
}

// envelope is a busta di trasporto that asks for a kind of receipt.
func envelope(receipt string, files bool, changes ...func(*Dispatch)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		if files {
			mail.Files = m.files()
		}
		d, err := m.submit(mail, Submission{Receipt: receipt}, changes...)
		if err != nil {
			return Message{}, err
		}
		return d.told(d.envelope(), knownFiles(mail.Files))
	}
}

// receipt is one about a plain mail.
func receipt(about func(*Dispatch) notice, changes ...func(*Dispatch)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		d, err := m.submit(m.mail(), Submission{}, changes...)
		if err != nil {
			return Message{}, err
		}
		return d.told(about(d), nil)
	}
}

func failTo(errore string) func(*mixer) (Message, error) {
	return receipt(func(d *Dispatch) notice { return d.failure(recipientAddress, errore) })
}

// deliver is the receipt of delivery of a mail with files.
func deliver(detail string, changes ...func(*Dispatch)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Files = m.files()
		return m.delivered(mail, knownFiles(mail.Files), detail, changes...)
	}
}

func (m *mixer) delivered(mail Mail, files []known, detail string, changes ...func(*Dispatch)) (Message, error) {
	d, err := m.submit(mail, Submission{}, changes...)
	if err != nil {
		return Message{}, err
	}
	n, err := d.delivery(recipientAddress, detail)
	if err != nil {
		return Message{}, err
	}
	if detail == "breve" {
		files = nil
		for _, f := range mail.Files {
			files = append(files, briefFile(f))
		}
	}
	return d.told(n, files)
}

// tampered has one letter of the signed text changed.
func (m *mixer) tampered() (Message, error) {
	one, err := envelope("completa", false)(m)
	one.Raw = bytes.Replace(one.Raw, []byte("Distinti saluti"), []byte("Distinti Saluti"), 1)
	one.Expect.Authenticity, one.Expect.Status, one.Expect.Warnings, one.Expect.Content = pec.Broken, pec.SignatureInvalid, nil, ""
	return one, err
}

// lookalike has all of an envelope but the signature.
func (m *mixer) lookalike() (Message, error) {
	mail := m.mail()
	d, err := m.submit(mail, Submission{})
	if err != nil {
		return Message{}, err
	}
	mail.From = fromField("Per conto di: "+d.sender, m.p.Address())
	mail.Subject = "POSTA CERTIFICATA: " + mail.Subject
	mail.Headers = []string{"X-Trasporto: posta-certificata", "X-TipoRicevuta: completa"}
	mail.Files = []File{{Name: "postacert.eml", MediaType: "message/rfc822", Data: d.original}}
	one := ordinary(mail, knownFiles(mail.Files)...)
	one.Expect.Warnings = []string{pec.PECLookalike}
	return one, nil
}

// foreign is a complete envelope of a provider with the same name and address
// from another CA.
func (m *mixer) foreign() (Message, error) {
	stranger, err := m.unknown()
	if err != nil {
		return Message{}, err
	}
	one, err := envelope("completa", false)(&mixer{p: stranger, r: m.r, n: m.n, at: m.at, small: m.small})
	one.Expect.Authenticity, one.Expect.Status = pec.Untrusted, pec.SignatureUntrusted
	return one, err
}

// unknown is a provider that looks like this one and that nobody trusts.
func (m *mixer) unknown() (*Provider, error) {
	if m.corpus != nil {
		return m.corpus.stranger, nil
	}
	if m.stranger == nil {
		stranger, err := NewProvider(m.p.options)
		if err != nil {
			return nil, err
		}
		m.stranger = stranger
	}
	return m.stranger, nil
}
