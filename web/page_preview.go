package web

import (
	"context"
	"fmt"
	"html"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	nethtml "golang.org/x/net/html"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// maxBodyHTML is how much of a message's HTML is shown.
const maxBodyHTML = 1 << 20

// The sender's HTML passes two policies: the first keeps links and the
// addresses of images, so that they can be turned into words; the second is
// what may reach a browser, and has neither.
var (
	bodyFirst = bodyPolicy().AllowAttrs("href").OnElements("a").AllowAttrs("src").OnElements("img").
			AllowURLSchemes("http", "https", "mailto", "tel", "cid").RequireParseableURLs(true)
	bodyLast = bodyPolicy().AllowAttrs("class").Matching(regexp.MustCompile("^host$")).OnElements("span")
)

func bodyPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "div", "span", "b", "strong", "i", "em", "u", "s", "sub", "sup", "small", "h1", "h2", "h3", "h4", "h5", "h6",
		"ul", "ol", "li", "dl", "dt", "dd", "blockquote", "pre", "code", "hr", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption")
	p.AllowAttrs("colspan", "rowspan").Matching(regexp.MustCompile(`^[1-9]\d?$`)).OnElements("td", "th")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^\d{1,4}$`)).OnElements("ol")
	return p
}

// cleanBody is what may be shown of a message's HTML, and how many images of
// other sites were left out.
func cleanBody(raw string) (clean string, remote int) {
	var out strings.Builder
	z := nethtml.NewTokenizer(strings.NewReader(bodyFirst.Sanitize(raw)))
	var hosts []string
	for {
		switch z.Next() {
		case nethtml.ErrorToken:
			return bodyLast.Sanitize(out.String()), remote
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			t := z.Token()
			switch t.Data {
			case "img":
				if strings.HasPrefix(value(t, "src"), "http") {
					remote++
				}
			case "a":
				hosts = append(hosts, realHost(value(t, "href")))
			default:
				out.WriteString(t.String())
			}
		case nethtml.EndTagToken:
			t := z.Token()
			if t.Data != "a" {
				out.WriteString(t.String())
				continue
			}
			if n := len(hosts); n > 0 {
				if hosts[n-1] != "" {
					out.WriteString(` <span class="host">` + html.EscapeString(hosts[n-1]) + `</span>`)
				}
				hosts = hosts[:n-1]
			}
		default:
			out.Write(z.Raw())
		}
	}
}

func value(t nethtml.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// realHost is where a link really leads, for people to read.
func realHost(href string) string {
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	if u.Scheme == "mailto" {
		return u.Opaque
	}
	return u.Hostname()
}

// framePolicy is the content security policy of a message's body: two sheets
// and letters, and nothing the sender brought.
const framePolicy = "default-src 'none'; style-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; " +
	"frame-ancestors 'self'; sandbox"

// body answers the sanitised HTML of a message, for the frame of the preview.
func (p *pages) body(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	raw, err := p.bodyHTML(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	clean, _ := cleanBody(raw)
	h := v.w.Header()
	h.Set("Content-Security-Policy", framePolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer")
	var page strings.Builder
	err = p.views["body"].ExecuteTemplate(&page, "body", struct {
		Title string
		Body  template.HTML
	}{"Testo del messaggio · " + b.Name, template.HTML(clean)})
	if err != nil {
		return fmt.Errorf("rendering a body: %w", err)
	}
	_, _ = io.WriteString(v.w, page.String())
	return nil
}

func (p *pages) bodyHTML(v *visit, id string) (string, error) {
	blob, err := p.office.OpenMessage(v.r.Context(), v.actor, id)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	r, err := pec.OpenHTML(v.r.Context(), blob, blob.Size())
	if err != nil {
		return "", fmt.Errorf("the HTML of %s: %w", id, register.ErrNotFound)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxBodyHTML))
	if err != nil {
		return "", fmt.Errorf("reading the HTML of %s: %w", id, err)
	}
	return string(raw), nil
}

// preview prepares the body: text as paragraphs, what a person wrote before
// what it repeats, HTML as a frame that is about as high as its content. The
// frame cannot tell: nothing runs in it.
func (p *pages) preview(ctx context.Context, v *visit, m *message) {
	m.Paragraphs, m.Earlier, m.Notes = paragraphs(m.Said.Text), paragraphs(m.Said.QuotedText), paragraphs(m.Said.Boilerplate)
	if m.ByProvider = len(m.Paragraphs) == 0 && len(m.Notes) > 0; m.ByProvider {
		m.Paragraphs, m.Notes = m.Notes, nil
	}
	if !m.Said.HTML {
		return
	}
	raw, err := p.bodyHTML(v, m.ID)
	if err != nil {
		return // the text is there all the same
	}
	clean, remote := cleanBody(raw)
	m.Frame = frameHeight(clean)
	m.RemoteImages = remote
}

var (
	anyTag   = regexp.MustCompile(`<[^>]*>`)
	blockTag = regexp.MustCompile(`</(?:p|div|tr|li|h[1-6]|blockquote|pre)>|<br/?>|<hr/?>`)
)

// frameHeight estimates the lines of a body and names the nearest height.
func frameHeight(clean string) string {
	lines := 2
	for _, block := range blockTag.Split(clean, -1) {
		if n := len([]rune(strings.TrimSpace(anyTag.ReplaceAllString(block, "")))); n > 0 {
			lines += 1 + n/72
		}
	}
	for _, h := range []struct {
		lines int
		class string
	}{{6, "h1"}, {12, "h2"}, {20, "h3"}, {32, "h4"}} {
		if lines <= h.lines {
			return h.class
		}
	}
	return "h5"
}

// paragraphs splits a text at its empty lines.
func paragraphs(text string) []string {
	var all []string
	for _, p := range regexp.MustCompile(`\n\s*\n`).Split(strings.ReplaceAll(text, "\r\n", "\n"), -1) {
		if p = strings.Trim(p, "\n"); strings.TrimSpace(p) != "" {
			all = append(all, p)
		}
	}
	return all
}

// refuseForm is the page of a refusal, for who has no dialog.
func (p *pages) refuseForm(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	m, err := p.message(v.r.Context(), v, b, v.r.PathValue("id"), &queue{Base: b.Base})
	if err != nil {
		return err
	}
	if m.Entry != nil || (m.Standing != "" && !m.Mine) {
		return redirect(v, m.Base)
	}
	return p.render(v, http.StatusOK, "refuse", view{Title: "Rifiuta il messaggio · " + b.Name, Section: "da-protocollare",
		Content: refusalPage{m, v.r.FormValue("motivo"), v.r.FormValue("manca") != ""}})
}

// refusalPage is the page «Rifiuta il messaggio».
type refusalPage struct {
	*message
	Preset        string
	MissingReason bool
}
