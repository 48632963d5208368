package archive_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// FuzzReceipt: whatever comes from outside, the parser neither fails nor calls
// accepted what does not say so in a word of its own.
func FuzzReceipt(f *testing.F) {
	c := day("masked")
	c.Parcel = &register.Parcel{Identity: "PdV-" + c.Name, Version: 1}
	for _, seed := range []string{
		"", "<a/>", positive(c), parer("POSITIVO", "", c.Name), parer("NEGATIVO", "x", c.Name), parer("WARNING", "x", c.Name),
		`{"identity":"` + c.Name + `","esito":"ok"}`, `{"esito":["ok","ko"],"hash":[1,null,"x"]}`,
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", `<?xml version="1.0" encoding="UTF-16"?><a/>`, "\xef\xbb\xbf<a/>",
		"<RapportoVersamento>&lt;RapportoVersamento>&lt;Esito>ok&lt;/Esito>&lt;/RapportoVersamento></RapportoVersamento>",
		strings.Repeat("<a>", 61), "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := archive.ParseReceipt(b)
		if err != nil {
			if r.Accepted {
				t.Errorf("refused, and yet %+v", r)
			}
			return
		}
		again, err := archive.ParseReceipt(bytes.Clone(b))
		if err != nil || again.Accepted != r.Accepted {
			t.Errorf("the second time %+v, %v", again, err)
		}
		if r.Concerns(c) && !bytes.Contains(b, []byte(c.Name)) && len(r.Digests) == 0 && r.Signer == "" && !bytes.ContainsAny(b, "&\\") {
			t.Errorf("it names nothing of ours: %+v", r)
		}
		lower := strings.ToLower(string(b))
		said := false
		for _, word := range []string{"positivo", "warning", "ok", "accettato", "accepted", "presoincarico", "preso in carico", "&", "\\", "<!", "\u212a"} {
			said = said || strings.Contains(lower, word)
		}
		if r.Accepted && !said && r.Signer == "" {
			t.Error("it is accepted by no word")
		}
	})
}

// FuzzCheckProof: what is held against trusted certificates shows nothing but
// what was registered, however the file was changed.
func FuzzCheckProof(f *testing.F) {
	proof, shows := proved(f)
	var whole archive.Proof
	if err := json.Unmarshal(proof, &whole); err != nil {
		f.Fatal(err)
	}
	roots := authority().pool()
	if _, err := archive.CheckProof(bytes.NewReader(proof), roots, roots); err != nil {
		f.Fatal(err)
	}
	change := func(c func(*archive.Proof)) {
		p := whole
		p.Events = slices.Clone(whole.Events)
		c(&p)
		f.Add(must(json.Marshal(p)))
	}
	f.Add(proof)
	f.Add(bytes.ReplaceAll(proof, []byte("\n"), []byte("\r\n")))
	f.Add(append(bytes.Clone(proof), "{}"...))
	f.Add([]byte(`{"format":"protodaemon-prova-1","events":[{}]}`))
	f.Add(bytes.Repeat([]byte("["), 10_000))
	change(func(p *archive.Proof) { p.Events = p.Events[:1] })
	change(func(p *archive.Proof) { slices.Reverse(p.Events) })
	change(func(p *archive.Proof) { p.Events[0].ImprintsSigned = nil })
	change(func(p *archive.Proof) { p.Events[0].ImprintsSigned = []byte{} })
	change(func(p *archive.Proof) { p.Events[0].ImprintsSigned = p.Events[1].ImprintsSigned })
	change(func(p *archive.Proof) {
		p.Events[0].Imprints, p.Events[0].ImprintsSigned = p.Events[1].Imprints, p.Events[1].ImprintsSigned
	})
	change(func(p *archive.Proof) { p.Events[0].Path = nil })
	change(func(p *archive.Proof) { p.Events[0].Path = append(p.Events[0].Path, p.Events[0].Path...) })
	change(func(p *archive.Proof) { p.Events[0].Index, p.Events[0].Size = 1<<62, -1 })
	change(func(p *archive.Proof) { p.Events[0].Size = 1 << 62 })
	change(func(p *archive.Proof) {
		p.Events[0].Entry = bytes.Replace(p.Events[0].Entry, []byte("La mia istanza"), []byte("La tua istanza"), 1)
	})
	change(func(p *archive.Proof) {
		// Forged whole: only the signature is missing.
		e := &p.Events[0]
		e.Entry = bytes.Replace(e.Entry, []byte("La mia istanza"), []byte("La tua istanza"), 1)
		old := archive.RootFrom(whole.Events[0])
		e.Imprints = bytes.Replace(e.Imprints, []byte(old), []byte(archive.RootFrom(*e)), 1)
		e.ImprintsSigned = nil
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		if events, err := archive.CheckProof(bytes.NewReader(b), nil, nil); err == nil && len(events) == 0 {
			t.Error("it proves nothing and is called a proof")
		}
		events, err := archive.CheckProof(bytes.NewReader(b), roots, roots)
		if err != nil {
			return
		}
		for _, e := range events {
			if !shows[e.Closing+" "+string(must(json.Marshal(e.Entry)))] || e.Signer == "" || e.Stamped == nil {
				t.Errorf("it shows %+v", e)
			}
		}
	})
}

// proved is the proof of an annulled entry that stands beside others, and what
// it shows.
func proved(t testing.TB) (proof []byte, shows map[string]bool) {
	h := newHall(t, register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
	h.conf.XAdES = false
	h.enter("Altra")
	mine := h.enter("La mia istanza")
	today := time.Now().In(rome).Format(time.DateOnly)
	h.closeDays(today)
	h.annul(mine)
	h.enter("Ancora un'altra")
	h.closeDays(time.Now().In(rome).Format(time.DateOnly))
	if err := h.work(); err != nil {
		t.Fatal(err)
	}
	_, proof, err := h.archive.Proof(t.Context(), manager, org, book, mine.Year, mine.Number)
	if err != nil {
		t.Fatal(err)
	}
	roots := authority().pool()
	events, err := archive.CheckProof(bytes.NewReader(proof), roots, roots)
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	shows = map[string]bool{}
	for _, e := range events {
		shows[e.Closing+" "+string(must(json.Marshal(e.Entry)))] = true
	}
	return proof, shows
}

// With trusted certificates a proof that nobody signed, or stamped, is none;
// without them it still shows what it shows.
func TestProofThatNobodySigned(t *testing.T) {
	proof, _ := proved(t)
	var p archive.Proof
	if err := json.Unmarshal(proof, &p); err != nil {
		t.Fatal(err)
	}
	p.Events[0].ImprintsSigned = nil
	unsigned := must(json.Marshal(p))
	roots := authority().pool()
	if events, err := archive.CheckProof(bytes.NewReader(unsigned), nil, nil); err != nil || events[0].Signer != "" {
		t.Errorf("without certificates: %+v, %v", events, err)
	}
	if _, err := archive.CheckProof(bytes.NewReader(unsigned), roots, nil); err == nil {
		t.Error("it holds before the signer's certificates")
	}
	if _, err := archive.CheckProof(bytes.NewReader(unsigned), nil, roots); err == nil {
		t.Error("it holds before the authority's certificates")
	}
	p.Events[0].ImprintsSigned = p7m(t, string(p.Events[0].Imprints)) // signed and not stamped
	unstamped := must(json.Marshal(p))
	if _, err := archive.CheckProof(bytes.NewReader(unstamped), roots, nil); err != nil {
		t.Errorf("signed and not stamped: %v", err)
	}
	if _, err := archive.CheckProof(bytes.NewReader(unstamped), nil, roots); err == nil {
		t.Error("it is not stamped and holds before the authority's certificates")
	}
	if _, err := archive.CheckProof(bytes.NewReader(append(proof, "{}"...)), nil, nil); err == nil {
		t.Error("something follows the proof")
	}
}
