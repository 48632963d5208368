package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

const pendingOf = "/api/v1/organizations/ordine/registers/ist/pending"

func TestThePendingListIsPaged(t *testing.T) {
	f := newFixture(t)
	var want, got []string
	for i := range 5 {
		want = append(want, f.arrive("ordine", "pec", letter(fmt.Sprintf("Istanza %d", i))).ID)
	}
	f.arrive("ordine", "dis", letter("Esposto"))
	path := pendingOf + "?limit=2"
	for range 4 {
		var p page[pendingItem]
		f.get(200, path).read(t, &p)
		for _, item := range p.Items {
			got = append(got, item.ID)
		}
		if p.Next == "" {
			break
		}
		path = pendingOf + "?limit=2&cursor=" + p.Next
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages give %v, arrived were %v", got, want)
	}
}

func TestAPendingItemSaysWhatTheMessageSays(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza di accesso"))
	var list page[pendingItem]
	f.get(200, pendingOf+"?state=pending").read(t, &list)
	if len(list.Items) != 1 {
		t.Fatalf("%+v", list)
	}
	item := list.Items[0]
	if item.ID != p.ID || item.Subject != "Istanza di accesso" || item.From.Address != "anna@example.it" ||
		item.State != register.StatePending || item.Attachments != 2 || item.Kind != "email" || item.Authenticity != "unsigned" {
		t.Errorf("%+v", item)
	}
	f.get(200, pendingOf+"?state=confirmed").read(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestWrongParametersOfAListAreNamed(t *testing.T) {
	f := newFixture(t)
	for query, field := range map[string]string{
		"?state=pendente": "state", "?limit=0": "limit", "?limit=501": "limit", "?stato=pending": "stato",
	} {
		if p := f.get(400, pendingOf+query).problem(); p.Code != "invalid" || p.Field != field {
			t.Errorf("%s: %+v", query, p)
		}
	}
	f.get(404, "/api/v1/organizations/ordine/registers/nessuno/pending")
	f.get(404, "/api/v1/organizations/nessuno/registers/ist/pending")
}

func TestAPendingEntryIsItsAnalysisAndMore(t *testing.T) {
	f := newFixture(t)
	raw := letter("Istanza")
	p := f.arrive("ordine", "pec", raw)
	f.arrive("ordine", "dis", raw)
	var d struct {
		ID, Organization, Register, Mailbox, State, Subject, Text, Kind, Authenticity, SHA256 string
		Size                                                                                  int
		ArrivedAt                                                                             string `json:"arrived_at"`
		Attachments                                                                           []struct{ Part, Name, SHA256 string }
		Duplicates                                                                            []register.Duplicate
		Suggestions                                                                           []register.Suggestion
		PEC                                                                                   json.RawMessage
	}
	a := f.get(200, "/api/v1/pending/"+p.ID)
	a.read(t, &d)
	if d.ID != p.ID || d.Organization != "ordine" || d.Register != "ist" || d.Mailbox != "pec" || d.State != "pending" ||
		d.Subject != "Istanza" || d.Kind != "email" || d.SHA256 != store.Sum(raw).String() || d.Size != len(raw) ||
		!strings.Contains(d.Text, "Si trasmette") || len(d.Attachments) != 2 || string(d.PEC) != "null" {
		t.Errorf("%s", a.body)
	}
	if !strings.HasSuffix(d.ArrivedAt, "+01:00") && !strings.HasSuffix(d.ArrivedAt, "+02:00") {
		t.Errorf("arrived_at %s is not in the legal time zone", d.ArrivedAt)
	}
	if len(d.Duplicates) == 0 || d.Duplicates[0].Kind != "message" || d.Duplicates[0].Pending == "" {
		t.Errorf("the same message in another register is not told: %+v", d.Duplicates)
	}
	var less struct{ Duplicates []register.Duplicate }
	f.get(200, "/api/v1/pending/"+p.ID, f.as("ist")...).read(t, &less)
	if len(less.Duplicates) == 0 || less.Duplicates[0].Pending != "" || less.Duplicates[0].Elsewhere == "" {
		t.Errorf("a register the caller may not see is told of: %+v", less.Duplicates)
	}
	f.get(403, "/api/v1/pending/"+p.ID, f.as("dis")...)
	f.get(403, "/api/v1/pending/"+p.ID+"/raw", f.as("dis")...)
	f.get(403, "/api/v1/pending/"+p.ID+"/attachments/"+d.Attachments[0].Part, f.as("dis")...)
	f.get(404, "/api/v1/pending/nessuno")
	f.get(404, "/api/v1/pending/"+strings.Repeat("a", 32))
}

func TestAnOversizedMessageIsShownWithoutBytes(t *testing.T) {
	f := newFixture(t)
	p, err := f.office.Arrive(t.Context(), register.Arrival{Organization: "ordine", Mailbox: "pec", Message: store.Sum([]byte("x")),
		Size: 300 << 20, State: register.StateOversized, Reason: "larger than 100 MiB",
		Summary: register.Summary{Kind: "email", Authenticity: "unsigned", Subject: "Planimetrie"}})
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ State, Reason, Subject string }
	f.get(200, "/api/v1/pending/"+p.ID).read(t, &d)
	if d.State != "oversized" || d.Reason == "" || d.Subject != "Planimetrie" {
		t.Errorf("%+v", d)
	}
	f.get(404, "/api/v1/pending/"+p.ID+"/raw")
	if p := f.post(409, "/api/v1/pending/"+p.ID+"/confirm", `{"classification":"1.1"}`).problem(); p.Code != "oversized" {
		t.Errorf("%+v", p)
	}
}

func TestTheRawMessageIsExactAndADownload(t *testing.T) {
	f := newFixture(t)
	raw := letter("Istanza")
	p := f.arrive("ordine", "pec", raw)
	path := "/api/v1/pending/" + p.ID + "/raw"
	a := f.get(200, path)
	if !bytes.Equal(a.body, raw) {
		t.Error("not the bytes that came")
	}
	for name, want := range map[string]string{
		"Content-Type": "message/rfc822", "Content-Disposition": `attachment; filename="` + p.ID + `.eml"`,
		"Etag": `"` + store.Sum(raw).String() + `"`, "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if part := f.get(206, path, "Range", "bytes=5-14"); !bytes.Equal(part.body, raw[5:15]) {
		t.Errorf("bytes 5 to 14 are %q", part.body)
	}
	f.get(416, path, "Range", "bytes=999999-")
	f.get(304, path, "If-None-Match", a.Header.Get("Etag"))
	if head := f.request("HEAD", path, ""); head.StatusCode != 200 || head.ContentLength != int64(len(raw)) {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, head.ContentLength)
	}
}

func TestAttachmentsAreHarmlessDownloads(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	var d struct {
		Attachments []struct{ Part, Name, SHA256 string }
	}
	f.get(200, "/api/v1/pending/"+p.ID).read(t, &d)
	for i, want := range []struct{ mediaType, disposition, body string }{
		{"application/octet-stream", `attachment; filename="pagina.html"`, "<script>alert(1)</script>"},
		{"application/pdf", `attachment; filename="citt_.pdf"; filename*=UTF-8''citt%C3%A0.pdf`, "%PDF-1.7\n"},
	} {
		path := "/api/v1/pending/" + p.ID + "/attachments/" + d.Attachments[i].Part
		a := f.request("GET", path, "")
		if a.StatusCode != 200 || strings.TrimSpace(string(a.body)) != strings.TrimSpace(want.body) ||
			a.Header.Get("Content-Type") != want.mediaType || a.Header.Get("Content-Disposition") != want.disposition {
			t.Errorf("%d %v %q", a.StatusCode, a.Header, a.body)
		}
		if store.Sum(a.body).String() != d.Attachments[i].SHA256 {
			t.Errorf("%s: not the bytes that the analysis names", path)
		}
		f.get(304, path, "If-None-Match", `"x", `+a.Header.Get("Etag"))
	}
	head := f.request("HEAD", "/api/v1/pending/"+p.ID+"/attachments/"+d.Attachments[1].Part, "")
	if head.StatusCode != 200 || head.ContentLength != int64(len("%PDF-1.7\n")) {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, head.ContentLength)
	}
	for _, part := range []string{"9", "1", "..%2f..", "x"} {
		f.get(404, "/api/v1/pending/"+p.ID+"/attachments/"+part)
	}
}

func TestAMessageThatIsDamagedOnDiskIsNotSentInPart(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	var blob string
	err := filepath.WalkDir(f.dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(path, p.Message.String()[2:]) {
			blob = path
		}
		return err
	})
	if err != nil || blob == "" {
		t.Fatalf("the file of %s: %v", p.Message, err)
	}
	if err := os.Chmod(blob, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blob, 10); err != nil {
		t.Fatal(err)
	}
	a := f.get(500, "/api/v1/pending/"+p.ID+"/attachments/"+p.Summary.Attachments[0].Part)
	if a.problem().Code != "internal" || !strings.Contains(f.log.String(), a.problem().Incident) {
		t.Errorf("%s", a.body)
	}
}
