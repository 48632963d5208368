package demo

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// withSegnatura is how one office system writes to another: a document signed
// by a person, and the segnatura.xml from which the other reads number, date and
// class (AgID guidelines, allegato 6).
func withSegnatura(p *post) ([]byte, error) {
	signed, err := p.signedBy("Paola Serra", "SRRPLA71C52F205K", "Comune di Borgolieto", page("Richiesta di parere"))
	if err != nil {
		return nil, err
	}
	document := sample.File{Name: "Richiesta_parere.pdf.p7m", MediaType: "application/pkcs7-mime", Data: signed}
	digest := sha256.Sum256(signed)
	segnatura := fmt.Sprintf(segnaturaForm, 4521, p.at.Format(time.DateOnly), document.Name, base64.StdEncoding.EncodeToString(digest[:]))
	return envelope("completa", "Comune di Borgolieto <protocollo@pec.comune.borgolieto.example>",
		"Prot. N. 4521: richiesta di parere sul regolamento edilizio", "Si trasmette la richiesta in oggetto, firmata digitalmente.",
		document, sample.File{Name: "segnatura.xml", MediaType: "application/xml", Data: []byte(segnatura)})(p)
}

// signedBy makes a .p7m (CAdES) with a certificate of nobody's: it fits, and
// leads to no authority that anybody trusts.
func (p *post) signedBy(name, taxCode, organization string, content []byte) ([]byte, error) {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: name, SerialNumber: "TINIT-" + taxCode, Organization: []string{organization}, Country: []string{"IT"}},
		KeyUsage: x509.KeyUsageContentCommitment, NotBefore: p.at.AddDate(-1, 0, 0), NotAfter: p.at.AddDate(2, 0, 0),
	}
	cert, key, err := sign(template, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	draft, err := cms.NewDraft(content, []*x509.Certificate{pair.Leaf}, p.at)
	if err != nil {
		return nil, err
	}
	value, err := pair.PrivateKey.(crypto.Signer).Sign(rand.Reader, draft.Digest(), crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return draft.Assemble(value)
}

// invoice is an electronic invoice as the SdI delivers it by PEC.
func invoice(p *post) ([]byte, error) {
	return envelope("breve", "Sistema di Interscambio <sdi01@pec.fatturapa.example>", "Invio File 7339338", "Si trasmette il file in allegato.",
		sample.File{Name: "IT01234567890_00118.xml", MediaType: "application/octet-stream",
			Data: fmt.Appendf(nil, invoiceForm, p.at.Format(time.DateOnly), 118)})(p)
}

const segnaturaForm = `<?xml version="1.0" encoding="UTF-8"?>
<prot:SegnaturaInformatica xmlns:prot="http://www.agid.gov.it/protocollo/" prot:versione="3.0.0" prot:lang="it">
<prot:Intestazione><prot:Identificatore><prot:CodiceAmministrazione prot:descrizione="Comune di Borgolieto">c_x999</prot:CodiceAmministrazione><prot:CodiceAOO>AOO1</prot:CodiceAOO><prot:CodiceRegistro>PG</prot:CodiceRegistro><prot:NumeroRegistrazione>%07d</prot:NumeroRegistrazione><prot:DataRegistrazione>%s</prot:DataRegistrazione></prot:Identificatore>
<prot:Oggetto>Richiesta di parere sul regolamento edilizio</prot:Oggetto>
<prot:Classifica><prot:Denominazione>Edilizia privata</prot:Denominazione><prot:CodiceFlat>6.3</prot:CodiceFlat></prot:Classifica></prot:Intestazione>
<prot:Descrizione><prot:Mittente><prot:Amministrazione><prot:DenominazioneAmministrazione>Comune di Borgolieto</prot:DenominazioneAmministrazione><prot:CodiceIPAAmministrazione>c_x999</prot:CodiceIPAAmministrazione></prot:Amministrazione></prot:Mittente>
<prot:Destinatario><prot:PersonaGiuridica><prot:Denominazione>Ordine degli Avvocati di Esempio</prot:Denominazione></prot:PersonaGiuridica></prot:Destinatario>
<prot:DocumentoPrimario prot:nomeFile="%s" prot:mimeType="application/pkcs7-mime"><prot:Impronta prot:algoritmo="SHA-256">%s</prot:Impronta></prot:DocumentoPrimario></prot:Descrizione>
</prot:SegnaturaInformatica>
`

const invoiceForm = `<?xml version="1.0" encoding="UTF-8"?>
<p:FatturaElettronica versione="FPA12" xmlns:p="http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2">
<FatturaElettronicaHeader><DatiTrasmissione><IdTrasmittente><IdPaese>IT</IdPaese><IdCodice>01234567890</IdCodice></IdTrasmittente><ProgressivoInvio>00118</ProgressivoInvio><FormatoTrasmissione>FPA12</FormatoTrasmissione></DatiTrasmissione>
<CedentePrestatore><DatiAnagrafici><IdFiscaleIVA><IdPaese>IT</IdPaese><IdCodice>01234567890</IdCodice></IdFiscaleIVA><Anagrafica><Denominazione>Cartoleria del Corso</Denominazione></Anagrafica></DatiAnagrafici></CedentePrestatore>
<CessionarioCommittente><DatiAnagrafici><Anagrafica><Denominazione>Ordine degli Avvocati di Esempio</Denominazione></Anagrafica></DatiAnagrafici></CessionarioCommittente></FatturaElettronicaHeader>
<FatturaElettronicaBody><DatiGenerali><DatiGeneraliDocumento><TipoDocumento>TD01</TipoDocumento><Divisa>EUR</Divisa><Data>%s</Data><Numero>%d</Numero><ImportoTotaleDocumento>183.00</ImportoTotaleDocumento></DatiGeneraliDocumento></DatiGenerali></FatturaElettronicaBody>
</p:FatturaElettronica>
`
