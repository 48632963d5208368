package pec

import (
	"slices"
	"strings"
	"testing"
)

// The samples have each line's kind before it: T the sender's, Q history, B
// footers; a line without one is empty.
var separated = map[string]string{
	"only text": `
T|Spettabile Ordine,

T|si trasmette quanto in oggetto.

T|Distinti saluti
T|Mario Rossi`,
	"Gmail": `
T|Va bene, grazie.

Q|Il giorno mar 10 mar 2026 alle ore 09:30 Mario Rossi <mario@example.it> ha scritto:

Q|> Possiamo vederci?
Q|>
Q|> Mario`,
	"Gmail, folded": `
T|Va bene, grazie.

Q|Il giorno mar 10 mar 2026 alle ore 09:30 Mario Rossi <
Q|mario@example.it> ha scritto:

Q|> Possiamo vederci?`,
	"Gmail of old": `
T|Va bene

Q|2026-03-10 9:30 GMT+01:00 Mario Rossi <mario@example.it>:

Q|> Possiamo vederci?`,
	"Gmail, English": `
T|Fine.

Q|On Tue, Mar 10, 2026 at 9:30 AM Mario Rossi <mario@example.it> wrote:

Q|> Can we meet?`,
	"Thunderbird": `
T|Ecco.

Q|Il 10/03/2026 09:30, Mario Rossi ha scritto:
Q|> Manca l'allegato.
Q|>
Q|> Saluti`,
	"Thunderbird, date without time": `
T|Ecco.

Q|Il 10/03/2026, Mario Rossi ha scritto:
Q|> Manca l'allegato.`,
	"Apple Mail": `
T|Ricevuto.

Q|> Il giorno 10 mar 2026, alle ore 09:30, Mario Rossi <mario@example.it> ha scritto:
Q|>
Q|> Buongiorno`,
	"Apple Mail, forwarded": `
T|Per conoscenza.

Q|Inizio messaggio inoltrato:

Q|Da: Mario Rossi <mario@example.it>
Q|Oggetto: Istanza
Q|Data: 10 marzo 2026 alle ore 09:30:00 CET
Q|A: ordine@example.it

Q|Buongiorno, allego l'istanza.`,
	"Outlook": `
T|Confermo.

Q|-----Messaggio originale-----
Q|Da: Mario Rossi [mailto:mario@example.it]
Q|Inviato: martedì 10 marzo 2026 09:30
Q|A: 'Ordine'
Q|Oggetto: Istanza

Q|Buongiorno,
Q|allego l'istanza.`,
	"Outlook without dashes": `
T|Confermo.

Q|Da: Mario Rossi <mario@example.it>
Q|Inviato: martedì 10 marzo 2026 09:30
Q|A: Ordine <ordine@example.it>; un altro destinatario
Q|con un nome molto lungo <altro@example.it>
Q|Cc: Anna
Q|Oggetto: Istanza

Q|Buongiorno,
Q|allego l'istanza.`,
	"Outlook, a line": `
T|Confermo.

Q|________________________________
Q|Da: Mario Rossi <mario@example.it>
Q|Inviato: martedì 10 marzo 2026 09:30
Q|A: Ordine <ordine@example.it>
Q|Oggetto: Istanza
Q|Buongiorno`,
	"Outlook, English": `
T|Confirmed.

Q|From: Mario Rossi <mario@example.it>
Q|Sent: Tuesday, March 10, 2026 9:30 AM
Q|To: Ordine
Q|Subject: Request

Q|Good morning`,
	"Outlook, fields in bold": `
T|Confermo.

Q|*Da:* Mario Rossi
Q|*Inviato:* martedì 10 marzo 2026 09:30
Q|*A:* Ordine
Q|*Oggetto:* Istanza

Q|Buongiorno`,
	"Outlook, German of Bolzano": `
T|Danke.

Q|Von: Mario Rossi <mario@example.it>
Q|Gesendet: Dienstag, 10. März 2026 09:30
Q|An: Kammer
Q|Betreff: Antrag

Q|Guten Tag`,
	"Thunderbird, German": `
T|Danke.

Q|Am 10.03.26 um 09:30 schrieb Mario Rossi:
Q|> Guten Tag`,
	"Thunderbird, forwarded": `
T|Inoltro.

Q|-------- Messaggio Inoltrato --------
Q|Oggetto: 	Istanza
Q|Data: 	Tue, 10 Mar 2026 09:30:00 +0100
Q|Mittente: 	Mario Rossi <mario@example.it>
Q|A: 	ordine@example.it

Q|Buongiorno`,
	"Gmail, forwarded": `
T|Inoltro.

Q|---------- Forwarded message ---------
Q|Da: Mario Rossi <mario@example.it>
Q|Date: mar 10 mar 2026 alle ore 09:30
Q|Subject: Istanza
Q|To: <ordine@example.it>

Q|Buongiorno`,
	"Libero": `
T|Confermo

Q|----Messaggio originale----
Q|Da: mario@example.it
Q|Data: 10/03/2026 9.30
Q|A: <ordine@example.it>
Q|Ogg: Istanza

Q|Buongiorno`,
	"webmail": `
T|Confermo

Q|Citando Mario Rossi <mario@example.it>:

Q|> Buongiorno`,
	"webmail, another": `
T|Confermo

Q|Mario Rossi ha scritto il 10/03/2026 09:30:
Q|> Buongiorno`,
	"webmail, a third": `
T|Confermo

Q|Mario Rossi ha scritto:
Q|> Buongiorno`,
	"Notes": `
T|Confermo

Q|----- Inoltrato da Mario Rossi/Ordine il 10/03/2026 09.30 -----

Q|Da:	Anna Bianchi/Ordine
Q|Per:	Mario Rossi/Ordine
Q|Buongiorno`,
	"a ticket system": `
T|Confermo

Q|##- Rispondi sopra questa riga -##
Q|La sua richiesta è stata presa in carico.`,
	"the answer below": `
Q|Il 10/03/2026 09:30, Mario Rossi ha scritto:
Q|> Può venire domani?

T|Sì, alle nove.`,
	"answers between": `
T|Buongiorno, rispondo sotto.

T|Il 10/03/2026 09:30, Mario Rossi ha scritto:
T|> Può venire domani?

T|Sì.

T|> Con chi?

T|Da solo.

Q|> Saluti
Q|> Mario`,
	"a signature": `
T|Confermo.

B|--
B|Mario Rossi
B|Tel. 0471 000000`,
	"a signature before the history": `
T|Confermo.

B|--
B|Mario Rossi

Q|Il 10/03/2026 09:30, Anna ha scritto:
Q|> Buongiorno`,
	"dashes that are no signature": `
T|Prima parte
T|--
T|1
T|2
T|3
T|4
T|5
T|6
T|7
T|8
T|9
T|10
T|11
T|12
T|13
T|14
T|15`,
	"a telephone": `
T|Confermo

B|Inviato da iPhone

Q|Il giorno 10 mar 2026, alle ore 09:30, Anna <anna@example.it> ha scritto:

Q|> Buongiorno`,
	"a notice of secrecy": `
T|Si trasmette il documento.
T|Saluti

B|Questo messaggio è confidenziale e destinato esclusivamente ai destinatari indicati. Chi lo ha
B|ricevuto per errore è pregato di cancellarlo.

B|Rif. D.Lgs. 196/2003 e Regolamento UE 2016/679.`,
	"a notice with title and translation": `
T|Si trasmette il documento.

B|________________________________
B|AVVISO DI RISERVATEZZA
B|Le informazioni contenute nella presente comunicazione sono riservate e destinate
B|esclusivamente ai destinatari sopra indicati. Se l'avete ricevuta per errore, distruggetela.

B|This message is confidential and may be privileged. If you are not the intended recipient
B|please delete it.

B|Prima di stampare, pensa all'ambiente.`,
	"paper": `
T|Confermo

B|Rispetta l'ambiente: se non ti è necessario, non stampare questa mail.`,
	"a virus scanner": `
T|Confermo

B|Mail priva di virus. www.avast.com`,
	"a warning of the office": `
B|ATTENZIONE: questa e-mail proviene dall'esterno dell'organizzazione.

T|Buongiorno, allego la fattura.`,
	"a request that speaks of privacy": `
T|Il sottoscritto, ai sensi degli artt. 15-22 del Regolamento (UE) 2016/679, chiede di sapere
T|a quali destinatari sono stati comunicati i suoi dati personali, anche riservati.

T|Il presente messaggio sostituisce il precedente, inviato per errore.`,
	"a letter with a heading of its own": `
T|Spettabile Ordine,

T|Da: Studio Rossi
T|A: Ordine degli Ingegneri
T|Data: 10/03/2026
T|Oggetto: istanza

T|si chiede quanto segue.`,
	"who wrote what": `
T|Come il Sindaco ha scritto:

T|la strada va chiusa.

T|Il 10 marzo il consulente ha scritto:

T|la strada va aperta.`,
	"prices with signs": `
T|Il valore è
T|10 > 5

T|>From qui in poi.`,
	"a provider's text": `
T|Vedi sotto.

B|Messaggio di posta certificata

B|Il giorno 10/03/2026 alle ore 09:30:00 (+0100) il messaggio
B|"Istanza" è stato inviato da "mario@pec.example"
B|indirizzato a:
B|ordine@pec.example
B|Il messaggio originale è incluso in allegato.
B|Identificativo messaggio: opec1.20260310093000.1@pec.example

T|E qui continuo io.`,
	"another provider's": `
T|Ecco la ricevuta:

B|-- Ricevuta di accettazione del messaggio indirizzato a ordine@pec.example ("posta certificata") --

B|Il giorno 10/03/2026 alle ore 09:30:00 (+0100) il messaggio con Oggetto
B|"Istanza" inviato da "mario@pec.example"
B|ed indirizzato a:
B|ordine@pec.example ("posta certificata")
B|è stato accettato dal sistema ed inoltrato.
B|Identificativo del messaggio: opec1@pec.example
B|L'allegato daticert.xml contiene informazioni di servizio sulla trasmissione`,
	"only history": `
T|-----Messaggio originale-----
T|Da: Mario Rossi
T|Buongiorno`,
	"only a notice": `
T|Questo messaggio è riservato ai destinatari; chi lo riceve per errore lo cancelli.`,
	"history and a notice": `
T|Inizio messaggio inoltrato:

T|Buongiorno`,
	"nothing": ``,
}

func TestSeparate(t *testing.T) {
	letters := map[string]lineKind{"T|": own, "Q|": history, "B|": footer}
	for name, sample := range separated {
		var lines []textLine
		var want [3][]string
		for l := range strings.SplitSeq(strings.TrimPrefix(sample, "\n"), "\n") {
			if l == "" {
				lines = append(lines, textLine{})
				continue
			}
			lines = append(lines, textLine{text: strings.TrimRight(l[2:], " ")})
			want[letters[l[:2]]] = append(want[letters[l[:2]]], strings.TrimRight(l[2:], " "))
		}
		text, quoted, boilerplate := separate(lines)
		for k, got := range []string{text, quoted, boilerplate} {
			if !slices.Equal(nonEmpty(got), want[k]) {
				t.Errorf("%s: kind %d is\n%s\nwant\n%s", name, k, strings.Join(nonEmpty(got), "\n"), strings.Join(want[k], "\n"))
			}
		}
	}
}

func nonEmpty(s string) []string {
	var all []string
	for l := range strings.SplitSeq(s, "\n") {
		if l != "" {
			all = append(all, l)
		}
	}
	return all
}

func TestTimeOfDay(t *testing.T) {
	for s, want := range map[string]bool{"9:30": true, "alle 09:30:15": true, "17.33": true, "10/03/2026 9.30": true, "10.03.2026": false, "10/03/2026": false,
		"2026-03-10": false, "1.000,50": false, "": false, "1:2": false, "127.0.0.1": false} {
		if got := timeOfDay(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestNoticeStems: no phrase is passed over because its stem is not looked for.
func TestNoticeStems(t *testing.T) {
	for _, phrase := range slices.Concat(secrecy, smallNotices, noticeTitles) {
		if !holds(phrase, noticeStems) {
			t.Errorf("no stem is in %q", phrase)
		}
	}
}
