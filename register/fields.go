package register

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The roles of a party in an entry.
const (
	roleSender    = "sender"
	roleRecipient = "recipient"
	roleCopy      = "copy"
)

const maxKey = 200

// entry is what the confirmation makes of the message, still without number
// and time. What the operator gave is checked, what the message says was made
// fit when it arrived.
func (c Confirmation) entry(p Pending) (Entry, error) {
	if err := c.check(); err != nil {
		return Entry{}, err
	}
	e := Entry{
		Direction: Incoming, Classification: c.Classification, Notes: c.Notes,
		SenderReference: c.SenderReference, Reserved: c.Reserved,
		Attachments: p.Summary.Attachments, Dossiers: []string{},
		State: Registered, Message: p.Message, Size: p.Size, Origin: origin(p),
	}
	if e.Attachments == nil {
		e.Attachments = []Document{}
	}
	var err error
	if e.Subject, err = c.subject(p); err != nil {
		return Entry{}, err
	}
	e.Parties, err = c.parties(p)
	return e, err
}

func origin(p Pending) *Origin {
	return &Origin{
		Pending: p.ID, Mailbox: p.Mailbox, Kind: p.Summary.Kind, Authenticity: p.Summary.Authenticity,
		MessageID: p.Summary.MessageID, Identifier: p.Summary.Identifier,
		Certified: p.Summary.Certified, ArrivedAt: p.ArrivedAt,
	}
}

func (c Confirmation) check() error {
	if strings.TrimSpace(c.Classification) == "" {
		return &FieldError{"classification", "is required"}
	}
	if len(c.Dossiers) > 0 {
		return &FieldError{"dossiers", fmt.Sprintf("there is no dossier %q", clip(c.Dossiers[0], maxCode))}
	}
	if c.SenderReference != nil {
		if err := checkText("sender_reference.number", c.SenderReference.Number, maxCode); err != nil {
			return err
		}
		if _, err := time.Parse(time.DateOnly, c.SenderReference.Date); err != nil && c.SenderReference.Date != "" {
			return &FieldError{"sender_reference.date", "is not a day written YYYY-MM-DD"}
		}
	}
	if err := checkText("Idempotency-Key", c.Key, maxKey); err != nil {
		return err
	}
	return checkLines("notes", c.Notes, maxNotes)
}

func (c Confirmation) subject(p Pending) (string, error) {
	if c.Subject == nil {
		if p.Summary.Subject == "" {
			return "", &FieldError{"subject", "the message has none: give one"}
		}
		return p.Summary.Subject, nil
	}
	subject := strings.TrimSpace(*c.Subject)
	if subject == "" {
		return "", &FieldError{"subject", "is empty"}
	}
	return subject, checkText("subject", subject, maxSubject)
}

// parties are the given ones, or the sender that the message names. A received
// document has a sender (art. 53 c. 1 c).
func (c Confirmation) parties(p Pending) ([]Party, error) {
	if len(c.Parties) == 0 {
		from := p.Summary.From
		if from.Name == "" && from.Address == "" {
			return nil, &FieldError{"parties", "the message names no sender: give one"}
		}
		from.Role = roleSender
		return []Party{from}, nil
	}
	if len(c.Parties) > maxParties {
		return nil, &FieldError{"parties", fmt.Sprintf("more than %d", maxParties)}
	}
	parties := slices.Clone(c.Parties)
	for i := range parties {
		if parties[i].Role == "" {
			parties[i].Role = roleSender
		}
		if err := parties[i].check(fmt.Sprintf("parties[%d]", i)); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(parties, func(p Party) bool { return p.Role == roleSender }) {
		return nil, &FieldError{"parties", "an incoming entry has a sender"}
	}
	return parties, nil
}

func (p Party) check(field string) error {
	if strings.TrimSpace(p.Name) == "" && strings.TrimSpace(p.Address) == "" {
		return &FieldError{field, "has neither name nor address"}
	}
	if p.Role != roleSender && p.Role != roleRecipient && p.Role != roleCopy {
		return &FieldError{field + ".role", "is sender, recipient or copy"}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"id", p.ID, maxCode}, {"name", p.Name, maxName}, {"address", p.Address, maxAddress}, {"tax_code", p.TaxCode, maxCode}} {
		if err := checkText(field+"."+f.name, f.value, f.limit); err != nil {
			return err
		}
	}
	return nil
}

// defaultSegnatura is the least that art. 55 c. 1 asks for, in one line.
const defaultSegnatura = "{ipa_code}|{aoo_code}|{register}|{number}|{date}"

// segnatura is the text mark of an entry.
func (b Book) segnatura(e Entry) string {
	template := b.Segnatura
	if template == "" {
		template = defaultSegnatura
	}
	return strings.NewReplacer(
		"{ipa_code}", b.IPACode, "{aoo_code}", b.AOOCode, "{register}", b.ID,
		"{number}", e.Number, "{year}", fmt.Sprintf("%04d", e.Year), "{date}", e.Day,
	).Replace(template)
}
