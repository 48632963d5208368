package document

import "strings"

// The kinds of parties a segnatura tells apart.
const (
	partyAdministration = "amministrazione"
	partyForeign        = "amministrazione-estera"
	partyCompany        = "persona-giuridica"
	partyPerson         = "persona-fisica"
)

// senders reads the Mittente: of the Descrizione in version 3, of the Origine
// before. What it leaves out of its codes the registration may say.
func (r *recording) senders(head, text *node) {
	origin := head.child("Origine")
	n := text.child("Mittente")
	if n == nil {
		n = origin.child("Mittente")
	}
	if n == nil && origin == nil {
		return
	}
	p := subject(n)
	p.Role = "sender"
	if address := mailbox(origin.child("IndirizzoTelematico")); address != "" {
		p.Address = address
	}
	if s := r.Sender; s != nil && (p.Kind == "" || p.Kind == partyAdministration) {
		if p.IPACode == "" {
			p.IPACode = s.Administration
		}
		if p.AOO == "" && p.IPACode == s.Administration {
			p.AOO = s.AOO
		}
	}
	r.Parties = append(r.Parties, p)
}

// recipients reads the Destinatari. In version 3 each is asked to confirm unless
// it says otherwise, before only those that are told to.
func (r *recording) recipients(head, text *node) {
	for n := range text.named("Destinatario") {
		p := subject(n)
		p.Role = "recipient"
		if yes(n, "perConoscenza", false) {
			p.Role = "copy"
		}
		r.Confirm = r.Confirm || yes(n, "confermaRicezione", r.Version == version3)
		r.Parties = append(r.Parties, p)
	}
	for n := range head.named("Destinazione", "PerConoscenza") {
		role := "recipient"
		if strings.EqualFold(n.name, "PerConoscenza") {
			role = "copy"
		}
		r.Confirm = r.Confirm || yes(n, "confermaRicezione", false)
		r.destination(n, role)
	}
}

// destination reads an address with those that are reached there, if it names
// any (Circolare 60/2013 and before).
func (r *recording) destination(n *node, role string) {
	address := mailbox(n.child("IndirizzoTelematico"))
	named := false
	for d := range n.named("Destinatario") {
		p := subject(d)
		if p.Address == "" {
			p.Address = address
		}
		if p == (Party{}) {
			continue
		}
		p.Role = role
		r.Parties = append(r.Parties, p)
		named = true
	}
	if !named {
		r.Parties = append(r.Parties, Party{Role: role, Address: address})
	}
}

// subject reads a Soggetto, Mittente or Destinatario of any generation.
func subject(n *node) Party {
	if inner := n.child("Soggetto"); inner != nil {
		n = inner
	}
	kinds := []struct {
		name, kind string
		read       func(*node) Party
	}{
		{"Amministrazione", partyAdministration, administration},
		{"PA", partyAdministration, administration},
		{"PersonaGiuridica", partyCompany, company},
		{"AmministrazioneEstera", partyForeign, company},
		{"PersonaFisica", partyPerson, person},
	}
	for _, k := range kinds {
		if c := n.child(k.name); c != nil {
			p := k.read(c)
			p.Kind = k.kind
			if aoo := n.child("AOO"); aoo != nil && p.AOO == "" { // beside it before version 3
				p.AOO = aoo.first("CodiceAOO")
			}
			if p.Address == "" {
				p.Address = mailbox(n)
			}
			return p
		}
	}
	if name := n.first("Denominazione"); name != "" {
		return Party{Name: name, Address: mailbox(n)}
	}
	if c := n.child("Persona"); c != nil { // before version 3
		p := person(c)
		p.Kind = partyPerson
		if p.Address == "" {
			p.Address = mailbox(n)
		}
		return p
	}
	return Party{Address: mailbox(n)}
}

func administration(n *node) Party {
	p := Party{
		Name:    n.first("DenominazioneAmministrazione", "DenominazionePA", "Denominazione"),
		TaxCode: n.first("CFAmministrazione", "CFPA"),
		IPACode: n.first("CodiceIPAAmministrazione", "CodiceIPAPA", "CodiceAmministrazione"),
		AOO:     n.first("CodiceIPAAOO", "CodiceAOO"),
		Unit:    unit(n),
	}
	for _, c := range []string{"ContattiAOO", "ContattiUO", "ContattiAmministrazione"} {
		if p.Address == "" {
			p.Address = mailbox(n.child(c))
		}
	}
	if p.Address == "" {
		p.Address = mailbox(n)
	}
	return p
}

// unit is the office: its code or description in version 3, the path of its
// names before.
func unit(n *node) string {
	if office := n.child("CodiceIPAUO"); office != nil {
		if s := office.attr("descrizione"); s != "" {
			return s
		}
		return office.line()
	}
	var names []string
	for u := n.child("UnitaOrganizzativa"); u != nil; u = u.child("UnitaOrganizzativa") {
		if s := u.first("Denominazione"); s != "" {
			names = append(names, s)
		}
	}
	return line(strings.Join(names, " / "))
}

func company(n *node) Party {
	p := Party{TaxCode: n.first("CF", "CodiceFiscale"), Address: mailbox(n)}
	if p.Name = n.first("Denominazione"); p.Name == "" {
		for _, c := range n.children {
			if strings.HasPrefix(c.name, "Denominazione") && p.Name == "" {
				p.Name = c.line()
			}
		}
	}
	switch number := strings.ToUpper(n.first("PIVA", "PIVAoCF")); {
	case n.first("PIVA") != "" && !strings.HasPrefix(number, "IT"):
		p.VAT = "IT" + number
	case strings.HasPrefix(number, "IT"):
		p.VAT = number
	case p.TaxCode == "":
		p.TaxCode = number // eleven digits may be either
	}
	return p
}

func person(n *node) Party {
	p := Party{
		Name:    line(n.first("Nome") + " " + n.first("Cognome")),
		TaxCode: strings.ToUpper(n.first("CodiceFiscale", "CF")),
		Address: mailbox(n),
	}
	if p.Name == "" {
		p.Name = n.first("Denominazione")
	}
	return p
}

// mailbox is the first e-mail address in or below an element; the tree bounds
// its depth.
func mailbox(n *node) string {
	if n == nil {
		return ""
	}
	if strings.EqualFold(n.name, "IndirizzoTelematico") {
		s := n.line()
		if len(s) > len("mailto:") && strings.EqualFold(s[:len("mailto:")], "mailto:") {
			s = s[len("mailto:"):]
		}
		if kind := n.attr("tipo"); strings.Contains(s, "@") && !strings.ContainsAny(s, " /") && (kind == "" || strings.EqualFold(kind, "smtp")) {
			return s
		}
	}
	for _, c := range n.children {
		if s := mailbox(c); s != "" {
			return s
		}
	}
	return ""
}
