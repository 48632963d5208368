package document

import (
	"regexp"
	"strings"
)

// addNotifications adds what the Sistema di Interscambio sends about invoices,
// by both schemas in use: MessaggiTypes 1.1 (fatturapa.gov.it, to
// administrations) and MessaggiFatturaTypes 1.0 (Agenzia delle Entrate, between
// private parties), which name some of them differently.
func addNotifications(readers map[string]recordReader) {
	versions := map[string]string{
		"http://www.fatturapa.gov.it/sdi/messaggi/v1.0":                          "",
		"http://www.fatturapa.gov.it/sdi/messaggi/v1.1":                          "",
		"http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fattura/messaggi/v1.0": "",
		"http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/messaggi/v1.0": "",
	}
	for root, typ := range map[string]string{
		"RicevutaConsegna":                "RC",
		"NotificaScarto":                  "NS",
		"RicevutaScarto":                  "NS",
		"NotificaMancataConsegna":         "MC",
		"RicevutaImpossibilitaRecapito":   "MC",
		"NotificaEsito":                   "NE",
		"NotificaDecorrenzaTermini":       "DT",
		"AttestazioneTrasmissioneFattura": "AT",
		"NotificaEsitoCommittente":        "EC",
		"ScartoEsitoCommittente":          "SE",
		"NotificaScartoEsitoCommittente":  "SE",
		"MetadatiInvioFile":               "MT",
		"FileMetadati":                    "MT",
	} {
		readers[strings.ToLower(root)] = recordReader{kind: "notifica-sdi", typ: typ, versions: versions,
			skip: map[string]bool{"Signature": true}, read: (*recording).notification}
	}
}

func (r *recording) notification(root *node) {
	r.SdI = root.first("IdentificativoSdI")
	r.FileName = safeName(root.first("NomeFile"))
	r.Version = root.first("Formato") // of the metadata: the invoice's
	r.Time = moment(root.first("DataOraConsegna", "DataOraRicezione"))
	if hash := digest(root.child("Hash")); hash != "" {
		r.Files = []Listed{{Name: r.FileName, Digest: hash}}
	} else if hash := digest(root.child("HashFileOriginale")); hash != "" {
		r.Files = []Listed{{Name: r.FileName, Digest: hash}}
	}
	judged := root // EC itself; inside NE it is an element of its own
	if inner := root.child("EsitoCommittente"); inner != nil {
		judged = inner
	}
	r.Outcome = judged.first("Esito")
	r.Number = judged.child("RiferimentoFattura").first("NumeroFattura")
	if r.Number == "" {
		r.Number = root.child("RiferimentoFattura").first("NumeroFattura")
	}
	if r.Reason = judged.first("Descrizione"); r.Reason == "" {
		r.Reason = root.first("Note", "Descrizione")
	}
	r.errors(root)
	to := root.child("Destinatario")
	p := Party{Role: "recipient", Name: to.first("Descrizione"), IPACode: office(to.first("Codice") + root.first("CodiceDestinatario"))}
	if p.Name+p.IPACode != "" {
		r.Parties = []Party{p}
	}
}

// errors lists why the SdI refused a file (NS), or an outcome (SE: Scarto_Type
// of the schema).
func (r *recording) errors(root *node) {
	words := map[string]string{"EN00": "notifica non conforme al formato", "EN01": "notifica non ammissibile"}
	if code := root.first("Scarto"); code != "" {
		r.Errors = append(r.Errors, strings.TrimSuffix(code+": "+words[code], ": "))
	}
	for list := range root.named("ListaErrori") {
		for e := range list.named("Errore") {
			if len(r.Errors) == errorsMax {
				r.warn(TooMany, "only the first %d errors are shown", errorsMax)
				return
			}
			text := strings.Trim(e.first("Codice")+": "+e.first("Descrizione"), ": ")
			if text != "" {
				r.Errors = append(r.Errors, line(text))
			}
		}
	}
}

// notificationName is the name the SdI gives its messages: that of the invoice
// without its extensions, the kind, a progressive.
var notificationName = regexp.MustCompile(`(?i)^([A-Z]{2}[A-Z0-9]{2,28}_[A-Z0-9]{1,5})_(RC|NS|MC|NE|DT|AT|EC|SE|MT)_[A-Z0-9]{1,3}\.xml$`)

// compareName holds the name of a file against its content, which decides. typ
// is the kind of notification that it is, "" for every other document.
func (r *recording) compareName(typ string) {
	m := notificationName.FindStringSubmatch(r.in.Name)
	if m == nil {
		if typ == "" && r.Kind == "" && strings.EqualFold(r.in.Name, "segnatura.xml") {
			r.warn(NameDiffers, "the file is named segnatura.xml but is none")
		}
		return
	}
	invoice, _, _ := strings.Cut(r.FileName, ".")
	switch said := strings.ToUpper(m[2]); {
	case typ == "":
		r.warn(NameDiffers, "the name is that of a message of the SdI (%s), the content is not", said)
	case said != typ:
		r.warn(NameDiffers, "the name says %s, the content is %s", said, typ)
	case invoice != "" && !strings.EqualFold(invoice, m[1]):
		r.warn(NameDiffers, "the name is about %s, the content about %s", m[1], lineOf(invoice, 100))
	}
}
