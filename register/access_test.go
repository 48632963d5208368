package register_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

func TestPermissions(t *testing.T) {
	actions := []register.Action{register.Read, register.Work, register.Manage, register.Administer}
	for _, tc := range []struct {
		role register.Role
		want string // of each action, in this order
	}{
		{register.Admin, "yyyy"},
		{register.Manager, "yyyn"},
		{register.Operator, "yynn"},
		{register.Auditor, "ynnn"},
		{"guest", "nnnn"},
	} {
		a := register.Actor{Grants: []register.Grant{{Role: tc.role, Organization: org, Register: book}}}
		for i, do := range actions {
			want := tc.want[i] == 'y'
			for _, place := range [][2]string{{org, book}, {org, ""}, {"", ""}} {
				if got := a.Can(do, place[0], place[1]); got != want {
					t.Errorf("%s may %s in %q: %v", tc.role, do, place, got)
				}
			}
			for _, place := range [][2]string{{org, other}, {"altro", book}, {"altro", ""}} {
				if a.Can(do, place[0], place[1]) {
					t.Errorf("%s of %s may %s in %q", tc.role, book, do, place)
				}
			}
		}
	}
	if !register.System().Can(register.Administer, org, book) {
		t.Error("the daemon may not administer")
	}
}

func TestForbidden(t *testing.T) {
	d := open(t)
	p := d.arrive("pec-fondazione", "one")
	stranger := operator // of the other register
	for name, act := range map[string]func() error{
		"confirm": func() error {
			_, err := d.Confirm(t.Context(), stranger, p.ID, register.Confirmation{Classification: "1.1"})
			return err
		},
		"reject":  func() error { _, err := d.Reject(t.Context(), stranger, p.ID, "no"); return err },
		"read":    func() error { _, err := d.Pending(t.Context(), stranger, p.ID); return err },
		"message": func() error { _, err := d.OpenMessage(t.Context(), stranger, p.ID); return err },
		"list": func() error {
			_, err := d.PendingList(t.Context(), stranger, org, other, register.PendingQuery{})
			return err
		},
		"entries": func() error {
			_, err := d.Entries(t.Context(), stranger, org, other, register.EntryQuery{})
			return err
		},
		"entry":   func() error { _, err := d.Entry(t.Context(), stranger, org, other, 2026, "1"); return err },
		"sweep":   func() error { return d.Sweep(t.Context(), stranger, org, "pec-fondazione") },
		"auditor": func() error { return d.Sweep(t.Context(), auditor, org, box) },
		"recover": func() error { _, err := d.Recover(t.Context(), stranger, org, other, register.Recovery{}); return err },
		"users":   func() error { _, err := d.Users(t.Context(), manager); return err },
		"classes": func() error { _, err := d.Classes(t.Context(), stranger, "altro"); return err },
	} {
		if err := act(); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := d.Organizations(operator); len(got) != 1 || len(got[0].Registers) != 1 || got[0].Registers[0].ID != book {
		t.Errorf("an operator of one register sees %+v", got)
	}
}

const password = "una password lunga"

func (d *desk) addUser(name string, grants ...register.Grant) {
	d.t.Helper()
	if err := d.AddUser(d.t.Context(), register.System(), register.User{Name: name, GivenName: "Anna", Surname: "Bianchi", Grants: grants}, password); err != nil {
		d.t.Fatal(err)
	}
}

func TestAccount(t *testing.T) {
	d := open(t)
	d.addUser("anna", register.Grant{Role: register.Operator, Organization: org, Register: book})
	a, err := d.Login(t.Context(), "Anna", password)
	if err != nil || a.User != "anna" || a.Name != "Anna Bianchi" || !a.Can(register.Work, org, book) || a.Can(register.Work, org, other) {
		t.Fatalf("login: %+v, %v", a, err)
	}
	for name, pw := range map[string]string{"anna": "sbagliata sbagliata", "nessuno": password, "": ""} {
		if _, err := d.Login(t.Context(), name, pw); !errors.Is(err, register.ErrCredentials) {
			t.Errorf("login %q: %v", name, err)
		}
	}
	if err := d.AddUser(t.Context(), register.System(), register.User{Name: "anna", Grants: []register.Grant{{Role: register.Auditor, Organization: org}}}, ""); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Account(t.Context(), "anna"); err != nil || len(b.Grants) != 2 || b.Epoch != a.Epoch {
		t.Errorf("with another role: %+v, %v", b, err)
	}
	_, secret, err := d.CreateToken(t.Context(), a, "anna", time.Hour)
	if err != nil || !strings.HasPrefix(secret, "pd_") {
		t.Fatalf("a token of her own: %q, %v", secret, err)
	}
	const changed = "un'altra password"
	if err := d.SetPassword(t.Context(), a, "anna", changed); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Login(t.Context(), "anna", password); !errors.Is(err, register.ErrCredentials) {
		t.Errorf("the former password: %v", err)
	}
	if b, err := d.Login(t.Context(), "anna", changed); err != nil || b.Epoch == a.Epoch {
		t.Errorf("the new password: %+v, %v; sessions of before must end", b, err)
	}
	d.reopen()
	if b, err := d.Authenticate(t.Context(), secret); err != nil || b.User != "anna" {
		t.Errorf("the token: %+v, %v", b, err)
	}
	if err := d.DisableUser(t.Context(), register.System(), "anna"); err != nil {
		t.Fatal(err)
	}
	_, login := d.Login(t.Context(), "anna", changed)
	_, token := d.Authenticate(t.Context(), secret)
	_, session := d.Account(t.Context(), "anna")
	_, _, create := d.CreateToken(t.Context(), register.System(), "anna", time.Hour)
	for what, err := range map[string]error{"login": login, "token": token, "session": session} {
		if !errors.Is(err, register.ErrCredentials) {
			t.Errorf("disabled, %s: %v", what, err)
		}
	}
	if !errors.Is(create, register.ErrInvalid) {
		t.Errorf("a new token for a disabled account: %v", create)
	}
	if v := d.sound(); v.Events < 8 {
		t.Errorf("only %d events", v.Events)
	}
}

func TestAccountsAreChecked(t *testing.T) {
	d := open(t)
	grant := []register.Grant{{Role: register.Operator}}
	for name, tc := range map[string]struct {
		u        register.User
		password string
		field    string
	}{
		"short password":   {register.User{Name: "a", Grants: grant}, "corta", "password"},
		"capital letters":  {register.User{Name: "Anna", Grants: grant}, password, "user"},
		"reserved":         {register.User{Name: "system", Grants: grant}, password, "user"},
		"no role":          {register.User{Name: "a"}, password, "role"},
		"unknown role":     {register.User{Name: "a", Grants: []register.Grant{{Role: "boss"}}}, password, "role"},
		"unknown place":    {register.User{Name: "a", Grants: []register.Grant{{Role: register.Admin, Organization: "x"}}}, password, "organization"},
		"unknown register": {register.User{Name: "a", Grants: []register.Grant{{Role: register.Admin, Organization: org, Register: "x"}}}, password, "register"},
		"register alone":   {register.User{Name: "a", Grants: []register.Grant{{Role: register.Admin, Register: book}}}, password, "register"},
		"control in name":  {register.User{Name: "a", GivenName: "A\x00", Grants: grant}, password, "name"},
	} {
		err := d.AddUser(t.Context(), register.System(), tc.u, tc.password)
		var field *register.FieldError
		if !errors.As(err, &field) || field.Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	local := register.Actor{User: "capo", Grants: []register.Grant{{Role: register.Admin, Organization: org}}}
	if err := d.AddUser(t.Context(), local, register.User{Name: "b", Grants: []register.Grant{{Role: register.Auditor}}}, password); !errors.Is(err, register.ErrForbidden) {
		t.Errorf("the admin of one organization gives a role in all: %v", err)
	}
	if err := d.AddUser(t.Context(), local, register.User{Name: "c", Grants: []register.Grant{{Role: register.Auditor, Organization: org}}}, password); err != nil {
		t.Errorf("the admin of one organization gives a role in it: %v", err)
	}
	d.addUser("dio", register.Grant{Role: register.Admin})
	for _, err := range []error{d.SetPassword(t.Context(), local, "dio", password), d.DisableUser(t.Context(), local, "dio")} {
		if !errors.Is(err, register.ErrForbidden) {
			t.Errorf("the admin of one organization over that of all: %v", err)
		}
	}
	if users, err := d.Users(t.Context(), local); err != nil || len(users) != 1 || users[0].Name != "c" {
		t.Errorf("he sees %+v, %v", users, err)
	}
	if err := d.DisableUser(t.Context(), register.System(), "nessuno"); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("disabling nobody: %v", err)
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		d.addUser("anna", register.Grant{Role: register.Operator})
		for i := range 6 {
			_, err := d.Login(t.Context(), "anna", "sbagliata sbagliata")
			if !errors.Is(err, register.ErrCredentials) || errors.Is(err, register.ErrThrottled) != (i == 5) {
				t.Fatalf("failure %d: %v", i+1, err)
			}
		}
		if _, err := d.Login(t.Context(), "anna", password); !errors.Is(err, register.ErrThrottled) {
			t.Errorf("the right password, too soon: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if _, err := d.Login(t.Context(), "anna", password); err != nil {
			t.Errorf("five minutes later: %v", err)
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		d.addUser("anna", register.Grant{Role: register.Operator, Organization: org})
		d.addUser("ugo", register.Grant{Role: register.Auditor, Organization: org})
		anna, err := d.Account(t.Context(), "anna")
		if err != nil {
			t.Fatal(err)
		}
		short, secret, err := d.CreateToken(t.Context(), anna, "anna", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		_, long, err := d.CreateToken(t.Context(), register.System(), "ugo", 48*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.CreateToken(t.Context(), anna, "ugo", time.Hour); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("a token of somebody else: %v", err)
		}
		for _, ttl := range []time.Duration{0, -time.Hour, 11 * 365 * 24 * time.Hour} {
			if _, _, err := d.CreateToken(t.Context(), anna, "anna", ttl); !errors.Is(err, register.ErrInvalid) {
				t.Errorf("a token for %s: %v", ttl, err)
			}
		}
		own, _ := d.Tokens(t.Context(), anna)
		all, _ := d.Tokens(t.Context(), register.System())
		if len(own) != 1 || own[0].ID != short.ID || len(all) != 2 {
			t.Errorf("anna sees %+v, the system %+v", own, all)
		}
		if strings.Contains(fmt.Sprint(all), secret) {
			t.Error("the secret is kept")
		}
		time.Sleep(time.Hour)
		if _, err := d.Authenticate(t.Context(), secret); !errors.Is(err, register.ErrCredentials) {
			t.Errorf("an expired token: %v", err)
		}
		if a, err := d.Authenticate(t.Context(), long); err != nil || a.User != "ugo" {
			t.Errorf("the other one: %+v, %v", a, err)
		}
		if err := d.RevokeToken(t.Context(), anna, all[0].ID); all[0].User == "ugo" && !errors.Is(err, register.ErrForbidden) {
			t.Errorf("anna revokes another's token: %v", err)
		}
		for _, tok := range all {
			if err := d.RevokeToken(t.Context(), register.System(), tok.ID); err != nil {
				t.Error(err)
			}
		}
		for _, bad := range []string{long, "", "pd_", "pd_x", strings.Repeat("pd_", 100)} {
			if _, err := d.Authenticate(t.Context(), bad); !errors.Is(err, register.ErrCredentials) {
				t.Errorf("token %.10q: %v", bad, err)
			}
		}
		if err := d.RevokeToken(t.Context(), register.System(), "nope"); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("revoking nothing: %v", err)
		}
	})
}
