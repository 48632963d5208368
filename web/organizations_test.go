package web

import (
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

func TestACallerSeesOnlyWhatHisRolesReach(t *testing.T) {
	f := newFixture(t)
	var orgs page[organization]
	f.get(200, "/api/v1/organizations", f.as("dis")...).read(t, &orgs)
	if len(orgs.Items) != 1 || orgs.Items[0].ID != "ordine" || len(orgs.Items[0].Registers) != 1 || orgs.Items[0].Registers[0].ID != "dis" {
		t.Errorf("%+v", orgs)
	}
	var boxes page[mailbox]
	f.get(200, "/api/v1/mailboxes", f.as("dis")...).read(t, &boxes)
	if len(boxes.Items) != 1 || boxes.Items[0].ID != "dis" {
		t.Errorf("%+v", boxes)
	}
	f.get(403, "/api/v1/organizations/ordine/registers/ist/pending", f.as("dis")...)
	f.get(403, "/api/v1/organizations/ordine/registers/ist/entries", f.as("dis")...)
	f.get(403, "/api/v1/organizations/camera/filing-plan", f.as("dis")...)
}

func TestOrganizationsArePaged(t *testing.T) {
	f := newFixture(t)
	var first, second page[organization]
	f.get(200, "/api/v1/organizations?limit=1").read(t, &first)
	f.get(200, "/api/v1/organizations?limit=1&cursor="+first.Next).read(t, &second)
	if len(first.Items) != 1 || first.Items[0].ID != "camera" || len(second.Items) != 1 || second.Items[0].ID != "ordine" || second.Next != "" {
		t.Errorf("%+v, %+v", first, second)
	}
	if o := second.Items[0]; o.IPACode != "oaes" || o.AOOCode != "AOO1" || len(o.Registers) != 2 {
		t.Errorf("%+v", o)
	}
}

func TestMailboxesTellTheirState(t *testing.T) {
	f := newFixture(t)
	f.arrive("ordine", "pec", letter("Una"))
	seen := time.Date(2026, 1, 12, 8, 30, 0, 0, time.UTC)
	f.office.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: "ordine", ID: "pec"},
		State: register.Backoff, LastSeen: seen, LastError: "connection refused"})
	var boxes page[mailbox]
	a := f.get(200, "/api/v1/mailboxes")
	a.read(t, &boxes)
	if len(boxes.Items) != 3 || boxes.Items[0].Organization != "camera" || boxes.Items[0].LastSeen != nil || boxes.Items[0].State != register.Connecting {
		t.Fatalf("%s", a.body)
	}
	m := boxes.Items[2]
	if m.ID != "pec" || m.State != register.Backoff || m.LastError != "connection refused" || m.Pending != 1 || m.Register != "ist" {
		t.Errorf("%s", a.body)
	}
	if got := m.LastSeen.Format(time.RFC3339); got != "2026-01-12T09:30:00+01:00" {
		t.Errorf("last seen %s, not in the legal time zone", got)
	}
}

func TestASweepReachesTheMailboxAndNobodyWaits(t *testing.T) {
	f := newFixture(t)
	news := f.office.News("ordine", "pec")
	f.post(202, "/api/v1/mailboxes/ordine/pec/sweep", "")
	f.post(202, "/api/v1/mailboxes/ordine/pec/sweep", "")
	select {
	case <-news:
	default:
		t.Error("the mailbox's owner was not told")
	}
	f.post(404, "/api/v1/mailboxes/ordine/nessuna/sweep", "")
	f.post(403, "/api/v1/mailboxes/ordine/pec/sweep", "", f.as("revisore")...)
}

func TestANewOrganizationHasAFilingPlan(t *testing.T) {
	f := newFixture(t)
	var plan page[register.Class]
	f.get(200, "/api/v1/organizations/ordine/filing-plan").read(t, &plan)
	found := false
	for i, c := range plan.Items {
		found = found || c.Code == "1.1"
		if i > 0 && classKey(plan.Items[i-1].Code) >= classKey(c.Code) {
			t.Errorf("%s comes before %s", plan.Items[i-1].Code, c.Code)
		}
	}
	if !found {
		t.Errorf("there is no class 1.1 among %d", len(plan.Items))
	}
	f.get(404, "/api/v1/organizations/nessuna/filing-plan")
	f.get(400, "/api/v1/organizations/ordine/filing-plan?class=1")
}
