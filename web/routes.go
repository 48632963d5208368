package web

import (
	"net/http"

	"github.com/protodaemon/protodaemon/register"
)

// route is one line of the list: who may call, and what answers.
type route struct {
	method, path string
	access       access
	serve        func(http.ResponseWriter, *http.Request, register.Actor) error
}

// access is what a route asks of its caller before it looks at anything else.
type access int

const (
	signedIn access = iota
	anyone
)

const inRegister = "/api/v1/organizations/{org}/registers/{register}"

func (s *Server) routes() []route {
	return []route{
		{"GET", "/healthz", anyone, s.healthz},
		{"GET", "/readyz", anyone, s.readyz},
		{"GET", "/metrics", anyone, s.showMetrics},
		{"GET", "/api/v1/openapi.json", anyone, s.openapi},

		{"GET", "/api/v1/organizations", signedIn, s.organizations},
		{"GET", "/api/v1/organizations/{org}/filing-plan", signedIn, s.filingPlan},
		{"GET", "/api/v1/mailboxes", signedIn, s.mailboxes},
		{"POST", "/api/v1/mailboxes/{org}/{id}/sweep", signedIn, s.sweep},

		{"GET", inRegister + "/pending", signedIn, s.pendingList},
		{"GET", "/api/v1/pending/{id}", signedIn, s.pending},
		{"GET", "/api/v1/pending/{id}/raw", signedIn, s.raw},
		{"GET", "/api/v1/pending/{id}/attachments/{part}", signedIn, s.pendingAttachment},
		{"POST", "/api/v1/pending/{id}/confirm", signedIn, s.confirm},
		{"POST", "/api/v1/pending/{id}/reject", signedIn, s.reject},
		{"POST", "/api/v1/pending/confirm", signedIn, s.confirmMany},

		{"GET", inRegister + "/entries", signedIn, s.entries},
		{"GET", inRegister + "/entries/{year}/{number}", signedIn, s.entry},
		{"GET", inRegister + "/entries/{year}/{number}/attachments/{n}", signedIn, s.entryAttachment},
		{"POST", inRegister + "/entries/{year}/{number}/annul", signedIn, s.annul},
		{"GET", inRegister + "/entries/{year}/{number}/proof", signedIn, s.proof},

		{"GET", inRegister + "/closings", signedIn, s.closings},
		{"POST", inRegister + "/closings", signedIn, s.closeDays},
		{"GET", inRegister + "/closings/{id}", signedIn, s.showClosing},
		{"GET", inRegister + "/closings/{id}/files/{name}", signedIn, s.closingFile},
		{"POST", inRegister + "/closings/{id}/retry", signedIn, s.retryClosing},
		{"POST", inRegister + "/closings/{id}/receipt", signedIn, s.receiveReceipt},
		{"GET", inRegister + "/days", signedIn, s.days},
		{"GET", inRegister + "/exports/{year}", signedIn, s.export},

		{"GET", "/api/v1/events", signedIn, s.events},
	}
}
