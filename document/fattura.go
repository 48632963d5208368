package document

import (
	"math/big"
	"regexp"
	"strings"
)

// addInvoices adds the FatturaPA, ordinary and simplified: Specifiche tecniche
// del formato FatturaPA of the Agenzia delle Entrate, versions 1.0 to 1.2.x.
func addInvoices(readers map[string]recordReader) {
	versions := map[string]string{ // what it is worth is FormatoTrasmissione
		"http://www.fatturapa.gov.it/sdi/fatturapa/v1.0":                "",
		"http://www.fatturapa.gov.it/sdi/fatturapa/v1.1":                "",
		"http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.0": "",
		"http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2": "",
	}
	// Lines and files make the bulk of an invoice; of its other parts none can
	// hold more than its lines do.
	skip := map[string]bool{"DettaglioLinee": true, "Allegati": true, "DatiPagamento": true, "DatiDDT": true, "Signature": true}
	simple := map[string]bool{"Allegati": true, "Signature": true}
	readers["fatturaelettronica"] = recordReader{kind: "fattura", versions: versions, skip: skip,
		needs: "FatturaElettronicaHeader", read: (*recording).invoice}
	readers["fatturaelettronicasemplificata"] = recordReader{kind: "fattura", versions: versions, skip: simple,
		needs: "FatturaElettronicaHeader", read: (*recording).invoice}
}

// invoice reads header and first body; a file may hold several (a lotto).
func (r *recording) invoice(root *node) {
	head, body := root.child("FatturaElettronicaHeader"), root.child("FatturaElettronicaBody")
	sending := head.child("DatiTrasmissione")
	if r.Version = sending.first("FormatoTrasmissione"); r.Version == "" {
		r.Version = root.attr("versione")
	}
	r.Parties = []Party{supplier(head), customer(head)}
	for range root.named("FatturaElettronicaBody") {
		r.Invoices++
	}
	data := body.child("DatiGenerali", "DatiGeneraliDocumento")
	r.Type = data.first("TipoDocumento")
	r.Currency = data.first("Divisa")
	r.Date = date(data.first("Data"))
	r.Number = data.first("Numero")
	r.total(body)
}

func supplier(head *node) Party {
	n := head.child("CedentePrestatore")
	p := identity(n)
	p.Role = "supplier"
	if mail := n.child("Contatti").first("Email"); strings.Contains(mail, "@") {
		p.Address = mail
	}
	return p
}

// customer also has what the invoice was sent to: a PEC address, and of an
// administration the office's code in the IPA.
func customer(head *node) Party {
	p := identity(head.child("CessionarioCommittente"))
	p.Role = "customer"
	sending := head.child("DatiTrasmissione")
	if mail := sending.first("PECDestinatario"); strings.Contains(mail, "@") {
		p.Address = mail
	}
	if p.IPACode = office(sending.first("CodiceDestinatario")); p.IPACode != "" {
		p.Kind = partyAdministration
	}
	return p
}

// office is a CodiceDestinatario that is the IPA's of an office: those of private
// parties have seven characters.
func office(code string) string {
	if len(code) == 6 {
		return code
	}
	return ""
}

// identity reads supplier and customer: in DatiAnagrafici of the ordinary
// invoice, in several places of the simplified one.
func identity(n *node) Party {
	p := Party{}
	for _, at := range []*node{n.child("DatiAnagrafici"), n, n.child("IdentificativiFiscali"), n.child("AltriDatiIdentificativi")} {
		if vat := at.child("IdFiscaleIVA"); vat != nil && p.VAT == "" {
			p.VAT = strings.ToUpper(vat.first("IdPaese") + vat.first("IdCodice"))
		}
		if p.TaxCode == "" {
			p.TaxCode = strings.ToUpper(at.first("CodiceFiscale"))
		}
		for _, names := range []*node{at.child("Anagrafica"), at} {
			if p.Name == "" {
				p.Name, p.Kind = called(names)
			}
		}
	}
	return p
}

func called(n *node) (name, kind string) {
	if name = n.first("Denominazione"); name != "" {
		return name, partyCompany
	}
	if name = line(n.first("Nome") + " " + n.first("Cognome")); name != "" {
		return name, partyPerson
	}
	return "", ""
}

// total is ImportoTotaleDocumento. Where an invoice has none it is computed from
// the riepilogo: taxable amounts and taxes, with the rounding of the document;
// of a simplified invoice from its amounts, which include the tax.
func (r *recording) total(body *node) {
	data := body.child("DatiGenerali", "DatiGeneraliDocumento")
	if said := data.first("ImportoTotaleDocumento"); said != "" {
		if amount := parseAmount(said); amount != nil {
			r.Total = decimals(said, amount)
			return
		}
		r.warn(AmountUnreadable, "the total is no amount: %q", lineOf(said, 50))
	}
	sum, found := new(big.Rat), false
	add := func(s string) {
		amount := parseAmount(s)
		switch {
		case amount != nil:
			sum.Add(sum, amount)
			found = true
		case s != "":
			r.warn(AmountUnreadable, "one of the amounts that make the total is none: %q", lineOf(s, 50))
		}
	}
	for goods := range body.named("DatiBeniServizi") {
		for line := range goods.named("DatiRiepilogo") {
			add(line.first("ImponibileImporto"))
			add(line.first("Imposta"))
		}
		add(goods.first("Importo"))
	}
	if found {
		add(data.first("Arrotondamento"))
		r.Total, r.TotalComputed = sum.FloatString(2), true
	}
}

// amountPattern is the Amount of the schema, up to eight decimals as unit prices
// have; a comma is tolerated.
var amountPattern = regexp.MustCompile(`^[-+]?[0-9]{1,15}([.,][0-9]{1,8})?$`)

func parseAmount(s string) *big.Rat {
	if !amountPattern.MatchString(s) {
		return nil
	}
	amount, ok := new(big.Rat).SetString(strings.Replace(s, ",", ".", 1))
	if !ok {
		return nil
	}
	return amount
}

// decimals writes an amount with the decimals it has, at least two.
func decimals(said string, amount *big.Rat) string {
	places := 2
	if i := strings.IndexAny(said, ".,"); i >= 0 {
		places = max(places, len(said)-i-1)
	}
	return amount.FloatString(places)
}
