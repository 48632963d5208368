package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// fixture is a server over a real office of two organizations: "ordine" with
// registers "ist" and "dis", and "camera" with "ist".
type fixture struct {
	*Server
	t      *testing.T
	url    string
	client *http.Client
	doc    *apiDoc
	log    *logBuffer
	dir    string            // of the data
	tokens map[string]string // by user
	admin  string            // capo's token
}

var organizationsOfTests = []register.Organization{
	{ID: "ordine", Name: "Ordine di Esempio", IPACode: "oaes", AOOCode: "AOO1", Manager: managerOfTests, Registers: []register.Book{
		{ID: "ist", Name: "Affari istituzionali", Mailboxes: []register.Mailbox{{ID: "pec", Kind: "pec", Address: "ordine@pec.example.it"}}},
		{ID: "dis", Name: "Disciplina", Mailboxes: []register.Mailbox{{ID: "dis", Kind: "pec", Address: "disciplina@pec.example.it"}}},
	}},
	{ID: "camera", Name: "Camera di Esempio", IPACode: "came", AOOCode: "AOO1", Registers: []register.Book{
		{ID: "ist", Name: "Affari istituzionali", Mailboxes: []register.Mailbox{{ID: "pec", Kind: "pec", Address: "camera@pec.example.it"}}},
	}},
}

// managerOfTests closes the days of an organization.
var managerOfTests = register.Officer{Name: "Elena", Surname: "Neri", TaxCode: "NRELNE70A41H501X", Deed: "delibera n. 1", From: "2020-01-01"}

// usersOfTests have one role each; capo is the administrator.
var usersOfTests = map[string]register.Grant{
	"capo":     {Role: register.Admin},
	"resp":     {Role: register.Manager},
	"revisore": {Role: register.Auditor},
	"altra":    {Role: register.Operator, Organization: "ordine"},
	"ist":      {Role: register.Operator, Organization: "ordine", Register: "ist"},
	"dis":      {Role: register.Operator, Organization: "ordine", Register: "dis"},
	"camera":   {Role: register.Auditor, Organization: "camera"},
}

// beginning is a data directory with the users and their tokens. It is made
// once, because hashing passwords takes its time, and written for each test.
var beginning = sync.OnceValues(func() (b begun, err error) {
	dir, err := os.MkdirTemp("", "web-test-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(dir)
	if b.tokens, err = addUsers(dir); err != nil {
		return b, err
	}
	b.files = make(fstest.MapFS)
	data := os.DirFS(dir)
	err = fs.WalkDir(data, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(data, name)
		b.files[name] = &fstest.MapFile{Data: content, Mode: 0o600}
		return err
	})
	return b, err
})

type begun struct {
	files  fstest.MapFS
	tokens map[string]string // by user
}

func addUsers(dir string) (tokens map[string]string, err error) {
	office, end, err := openOffice(dir)
	if err != nil {
		return nil, err
	}
	defer end()
	tokens = make(map[string]string)
	for name, g := range usersOfTests {
		if tokens[name], err = addUser(office, name, g); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func openOffice(dir string) (*register.Office, func(), error) {
	ctx := context.Background()
	st, err := store.OpenBolt(ctx, store.Options{Dir: dir, Reserve: -1})
	if err != nil {
		return nil, nil, err
	}
	office, err := register.Open(ctx, st, register.Setup{Location: rome, Organizations: organizationsOfTests})
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return office, func() { _, _ = office.Close(), st.Close() }, nil
}

var rome = func() *time.Location {
	l, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		panic(err)
	}
	return l
}()

func addUser(o *register.Office, name string, g register.Grant) (token string, err error) {
	u := register.User{Name: name, GivenName: "Anna", Surname: "Rossi", Grants: []register.Grant{g}}
	if err := o.AddUser(context.Background(), register.System(), u, "una password lunga"); err != nil {
		return "", err
	}
	_, token, err = o.CreateToken(context.Background(), register.System(), name, time.Hour)
	return token, err
}

func newFixture(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	f := newQuietFixture(t, change...)
	server := httptest.NewServer(f.Server)
	t.Cleanup(server.Close)
	t.Cleanup(f.endStreams)
	f.url, f.client = server.URL, server.Client()
	return f
}

// newQuietFixture is one that listens nowhere.
func newQuietFixture(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	b, err := beginning()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, b.files); err != nil {
		t.Fatal(err)
	}
	f := fixtureIn(t, dir, change...)
	f.tokens, f.admin = b.tokens, b.tokens["capo"]
	return f
}

// fixtureIn is one with what the data directory holds.
func fixtureIn(t *testing.T, dir string, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, doc: loadDoc(t), log: new(logBuffer), dir: dir}
	office, end, err := openOffice(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	metrics := prometheus.NewRegistry()
	o := Options{Office: office, Location: rome, Gatherer: metrics, Registerer: metrics,
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&o)
	}
	if f.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	return f
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// problem is the code of a refusal.
func (a answer) problem() (p Problem) {
	_ = json.Unmarshal(a.body, &p)
	return p
}

// read decodes the answer into v.
func (a answer) read(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// request asks as the admin unless the header says otherwise. The path is one
// of the routes' with its parameters; the answer is held against the document.
func (f *fixture) request(method, path, body string, header ...string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.admin)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{Response: resp}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		f.t.Fatal(err)
	}
	f.checkAnswer(a)
	return a
}

// checkAnswer holds an answer against the OpenAPI document, if a route fits.
func (f *fixture) checkAnswer(a answer) {
	f.t.Helper()
	_, pattern := f.mux.Handler(a.Request)
	_, path, ok := strings.Cut(pattern, " ")
	if !ok || a.Request.Method == http.MethodHead {
		return
	}
	f.doc.check(f.t, a.Request.Method, path, fmt.Sprint(a.StatusCode), a.Header, a.body)
}

// get and post expect a status.
func (f *fixture) get(status int, path string, header ...string) answer {
	f.t.Helper()
	return f.want(status, f.request("GET", path, "", header...))
}

func (f *fixture) post(status int, path, body string, header ...string) answer {
	f.t.Helper()
	return f.want(status, f.request("POST", path, body, header...))
}

func (f *fixture) want(status int, a answer) answer {
	f.t.Helper()
	if a.StatusCode != status {
		f.t.Errorf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	return a
}

func bearing(token string) []string { return []string{"Authorization", "Bearer " + token} }

// as asks as one of usersOfTests.
func (f *fixture) as(user string) []string { return bearing(f.tokens[user]) }

// letter is an ordinary message with two attachments.
func letter(subject string) []byte {
	return []byte(strings.ReplaceAll(`From: Anna Bianchi <anna@example.it>
To: ordine@pec.example.it
Subject: `+subject+`
Date: Mon, 12 Jan 2026 09:30:00 +0100
Message-ID: <`+fmt.Sprintf("%x", subject)+`@example.it>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

Si trasmette quanto in oggetto.
--b
Content-Type: text/html; name="pagina.html"
Content-Disposition: attachment; filename="pagina.html"

<script>alert(1)</script>
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename*=UTF-8''citt%C3%A0.pdf
Content-Transfer-Encoding: base64

JVBERi0xLjcK
--b--
`, "\n", "\r\n"))
}

// arrive puts a message into a mailbox's custody, as ingestion does.
func (f *fixture) arrive(org, mailbox string, message []byte) register.Pending {
	f.t.Helper()
	p, err := f.take(f.t.Context(), org, mailbox, message)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) take(ctx context.Context, org, mailbox string, message []byte) (none register.Pending, err error) {
	w, err := f.office.CreateBlob(ctx, org)
	if err != nil {
		return none, err
	}
	defer w.Close()
	if _, err := w.Write(message); err != nil {
		return none, err
	}
	digest, size, err := w.Commit(ctx)
	if err != nil {
		return none, err
	}
	a := pec.Read(ctx, bytes.NewReader(message), size, pec.Options{})
	analysis, err := json.Marshal(a)
	if err != nil {
		return none, err
	}
	s := register.Summary{Kind: string(a.Kind), Authenticity: string(a.Authenticity), Subject: a.Subject,
		From: register.Party{Name: a.From.Name, Address: a.From.Address}, MessageID: a.MessageID, Content: digest,
		Warnings: len(a.Warnings)}
	for _, at := range a.Attachments {
		d := register.Document{Part: at.Part, Name: at.Name, MediaType: at.MediaType, Size: at.Size}
		if err := d.SHA256.UnmarshalText([]byte(at.SHA256)); err != nil {
			return none, err
		}
		s.Attachments = append(s.Attachments, d)
	}
	return f.office.Arrive(ctx, register.Arrival{Organization: org, Mailbox: mailbox, Message: digest, Size: size,
		ArrivedAt: time.Now(), Noticed: time.Now(), State: register.StatePending, Summary: s, Analysis: analysis})
}

// logBuffer is a log that many goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// troubled is an Options.Ready.
func troubled(all ...register.Trouble) func(context.Context) []register.Trouble {
	return func(context.Context) []register.Trouble { return all }
}
