package document

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// The three generations of the segnatura: version 3 of allegato 6 to the Linee
// guida AgID (2021), Circolare AgID 60/2013, and the DTD of Circolare AIPA
// 28/2001, which has no namespace. The schemas are
// https://github.com/AgID/protocollo-comunicazione-aoo.
const (
	version3    = "3.0.0"
	version2013 = "2013"
	version2001 = "2001"
)

// addSegnature adds the segnatura and the messages that answer to it.
func addSegnature(readers map[string]recordReader) {
	versions := map[string]string{
		"http://www.agid.gov.it/protocollo":          version3,
		"http://www.agid.gov.it/protocollo/pec":      version3,
		"http://www.agid.gov.it/protocollo/messaggi": version3,
		"http://www.digitpa.gov.it/protocollo":       version2013,
		"":                                           version2001,
	}
	skip := map[string]bool{"Signature": true, "PiuInfo": true}
	for _, x := range []struct {
		root, kind, needs string
		read              func(*recording, *node)
	}{
		{"segnaturainformatica", "segnatura", "Intestazione", (*recording).segnatura},
		{"segnatura", "segnatura", "Intestazione", (*recording).segnatura},
		{"confermaricezione", "conferma-ricezione", "", (*recording).answer},
		{"aggiornamentoconferma", "aggiornamento-conferma", "", (*recording).answer},
		{"notificaeccezione", "notifica-eccezione", "", (*recording).answer},
		{"annullamentoprotocollazione", "annullamento-protocollazione", "", (*recording).answer},
	} {
		readers[x.root] = recordReader{kind: x.kind, versions: versions, needs: x.needs, skip: skip, read: x.read}
	}
}

func (r *recording) segnatura(root *node) {
	if r.Version == version2001 {
		r.Version = versionSaid(root)
	}
	head, text := root.child("Intestazione"), root.child("Descrizione")
	r.Sender = reference(head.child("Identificatore"))
	r.Original = reference(head.child("PrimaRegistrazione"))
	r.Concerns = answered(root.child("Riferimenti"))
	r.Subject = head.first("Oggetto")
	r.Class, r.ClassName = class(head.child("Classifica"))
	r.Dossier, r.DossierName = dossier(head.child("Fascicolo"))
	r.Reserved = reserved(head.child("Riservato"))
	r.senders(head, text)
	r.recipients(head, text)
	r.documents(text)
	if len(r.Parties) > partiesMax {
		r.Parties = r.Parties[:partiesMax]
		r.warn(TooMany, "only the first %d parties are shown", partiesMax)
	}
	if len(r.Files) > listedMax {
		r.Files = r.Files[:listedMax]
		r.warn(TooMany, "only the first %d documents are shown", listedMax)
	}
}

// versionSaid is the generation of a segnatura without namespace: systems leave
// it out of the later ones too.
func versionSaid(root *node) string {
	switch said := root.attr("versione"); {
	case strings.EqualFold(root.name, "SegnaturaInformatica"), strings.HasPrefix(said, "3"):
		return version3
	case strings.HasPrefix(said, "2013"):
		return version2013
	}
	return version2001
}

// answer reads the four messages that answer to a segnatura. The identifier is
// the registration of who sends it, that of the message received lies deeper.
func (r *recording) answer(root *node) {
	received := root.child("MessaggioRicevuto")
	r.Sender = reference(root.child("Identificatore"))
	r.Concerns = reference(received.child("Identificatore"))
	r.Original = reference(received.child("PrimaRegistrazione"))
	r.Subject = received.first("DescrizioneMessaggio")
	r.Reason = root.first("Motivo")
	r.Measure = root.first("Provvedimento")
}

// reference reads an Identificatore, or what holds one.
func reference(n *node) *Reference {
	if inner := n.child("Identificatore"); inner != nil {
		n = inner
	}
	ref := Reference{
		Administration: n.first("CodiceAmministrazione"),
		AOO:            n.first("CodiceAOO"),
		Register:       n.first("CodiceRegistro"),
		Number:         n.first("NumeroRegistrazione"),
		Date:           date(n.first("DataRegistrazione")),
	}
	if ref == (Reference{}) {
		return nil
	}
	return &ref
}

// answered is the message that Riferimenti name first: directly in version 3,
// in a Messaggio before.
func answered(n *node) *Reference {
	if m := n.child("Messaggio"); m != nil {
		return reference(m)
	}
	return reference(n)
}

// class is the code of a Classifica, its levels joined with ".", and its name.
func class(n *node) (code, name string) {
	name = n.first("Denominazione")
	if code = n.first("CodiceFlat"); code != "" {
		return code, name
	}
	var levels []string
	last := ""
	add := func(level *node) {
		if s := level.line(); s != "" {
			levels = append(levels, s)
			last = level.attr("descrizione")
		}
	}
	for level := range n.named("Livello") { // before version 3
		add(level)
	}
	for path := n.child("CodicePath"); path != nil; path = path.child("SubLivello") {
		add(path.child("Livello"))
	}
	if name == "" {
		name = last
	}
	return line(strings.Join(levels, ".")), name
}

func dossier(n *node) (code, name string) {
	code = n.first("CodiceFascicolo", "Identificativo")
	if name = n.first("Denominazione", "Oggetto"); name == "" {
		name = n.line()
	}
	return code, name
}

// reserved tells that a sender asks for confidentiality: before version 3 the
// element alone does, in version 3 it holds an xs:boolean. What is neither is
// taken for a yes.
func reserved(n *node) bool {
	if n == nil {
		return false
	}
	switch strings.ToLower(n.line()) {
	case "false", "0", "no", "n":
		return false
	}
	return true
}

// yes reads an attribute that is an xs:boolean or si|no; unset where there is
// none, or another word.
func yes(n *node, name string, unset bool) bool {
	switch strings.ToLower(n.attr(name)) {
	case "true", "1", "si", "sì", "s":
		return true
	case "false", "0", "no", "n":
		return false
	}
	return unset
}

// documents lists the primary document and those that go with it.
func (r *recording) documents(text *node) {
	for n := range text.named("DocumentoPrimario", "Documento") {
		r.document(n)
	}
	if text.child("TestoDelMessaggio") != nil {
		r.Files = append(r.Files, Listed{Title: "testo del messaggio"})
	}
	for n := range text.named("Allegato") {
		r.document(n)
	}
	for n := range text.named("Allegati") {
		r.enclosed(n)
	}
}

// enclosed lists an Allegati, or a Fascicolo in it; the tree bounds its depth.
func (r *recording) enclosed(n *node) {
	if n.child("Impronta") != nil { // the draft of version 3 has no element between
		r.document(n)
	}
	for c := range n.named("Documento", "Fascicolo") {
		if strings.EqualFold(c.name, "Documento") {
			r.document(c)
			continue
		}
		if r.Dossier == "" && r.DossierName == "" {
			r.Dossier, r.DossierName = dossier(c)
		}
		r.enclosed(c)
	}
}

func (r *recording) document(n *node) {
	print := n.child("Impronta")
	name := n.attr("nomeFile") + n.attr("nome") + print.attr("nomeFile")
	where := n.attr("tipoRiferimento")
	if strings.EqualFold(where, "MIME") {
		where = ""
	}
	r.Files = append(r.Files, Listed{
		Name:      safeName(name),
		Title:     n.first("TitoloDocumento", "Titolo", "Descrizione", "Oggetto"),
		Digest:    digest(print),
		Elsewhere: where,
	})
	for _, mark := range []string{"firmatoDigitalmente", "sigillatoElettronicamente", "marcaturaTemporale"} {
		for d := range n.child(mark).named("Detached") {
			if name := safeName(d.attr("nomeFile")); name != "" {
				r.Files = append(r.Files, Listed{Name: name})
			}
		}
	}
}

// digest is the hexadecimal SHA-256 of an Impronta in base64, or in hexadecimal
// as some systems write it; "" for every other algorithm (Circolare 28/2001 had
// SHA-1).
func digest(n *node) string {
	if n == nil {
		return ""
	}
	if said := n.attr("algoritmo"); said != "" && !strings.Contains(said, "256") {
		return ""
	}
	text := strings.Join(strings.Fields(string(n.text)), "")
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == 32 {
		return hex.EncodeToString(raw)
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) != 32 {
		return ""
	}
	return hex.EncodeToString(raw)
}
