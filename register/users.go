package register

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

const (
	minPassword = 10   // characters
	maxPassword = 1024 // bytes
	// loginPatience is how long a login waits for its record.
	loginPatience = 2 * time.Second
)

// userName is what a user may be called; in lower case, so that nobody is
// taken for another.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,63}$`)

// User is an account.
type User struct {
	Name      string    `json:"user"`
	GivenName string    `json:"name,omitempty"`
	Surname   string    `json:"surname,omitempty"`
	TaxCode   string    `json:"tax_code,omitempty"`
	Grants    []Grant   `json:"grants"`
	Disabled  bool      `json:"disabled,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// account is a user's row.
type account struct {
	User
	// Epoch is the record that last ended all sessions.
	Epoch uint64 `json:"epoch"`
}

func (u account) actor() Actor {
	return Actor{
		User: u.Name, Name: strings.TrimSpace(u.GivenName + " " + u.Surname),
		Grants: u.Grants, Epoch: strconv.FormatUint(u.Epoch, 10),
	}
}

// AddUser creates an account, or adds the grants to the one that exists; its
// password is changed by SetPassword only. Without a password nobody can log
// in, but tokens can be made. A disabled account stays so: histories name it.
func (o *Office) AddUser(ctx context.Context, a Actor, u User, password string) error {
	if err := o.checkUser(u); err != nil {
		return err
	}
	if !a.governs(u.Grants...) {
		return fmt.Errorf("%w: giving these roles", ErrForbidden)
	}
	var secret json.RawMessage
	if password != "" {
		if err := checkPassword(password); err != nil {
			return err
		}
		hash, err := o.guard.hash(ctx, password)
		if err != nil {
			return err
		}
		secret = encode(hash)
	}
	err := o.installation.do(ctx, nil, func(d *draft) error {
		var there account
		exists, err := d.get(rowUser, u.Name, &there)
		switch {
		case err != nil:
			return err
		case exists && there.Disabled:
			return &FieldError{"user", "the account was disabled; a name is not used again"}
		case exists && password != "":
			return &FieldError{"password", "the account exists already; its password is changed separately"}
		case exists:
			return d.grant(a, there, u.Grants)
		}
		d.create(a, u, secret)
		return nil
	})
	if err != nil {
		return fmt.Errorf("adding user %s: %w", u.Name, err)
	}
	return nil
}

func (o *Office) checkUser(u User) error {
	if !userName.MatchString(u.Name) || u.Name == systemUser {
		return &FieldError{"user", "is up to 64 lower-case letters, digits and . _ @ + -, and not \"system\""}
	}
	for _, f := range []struct{ name, value string }{
		{"name", u.GivenName}, {"surname", u.Surname}, {"tax_code", u.TaxCode},
	} {
		if err := checkText(f.name, f.value, maxName); err != nil {
			return err
		}
	}
	if len(u.Grants) == 0 {
		return &FieldError{"role", "is required"}
	}
	return o.checkGrants(u.Grants)
}

// checkGrants refuses grants that would never hold.
func (o *Office) checkGrants(grants []Grant) error {
	v := o.view.Load()
	for _, g := range grants {
		if permits[g.Role] == nil {
			return &FieldError{"role", "is admin, manager, operator or auditor"}
		}
		if g.Organization == "" {
			if g.Register != "" {
				return &FieldError{"register", "needs an organization"}
			}
			continue
		}
		org := v.agencies[g.Organization]
		if org == nil {
			return &FieldError{"organization", fmt.Sprintf("there is no %q in the configuration", clip(g.Organization, maxCode))}
		}
		if g.Register != "" && !slices.ContainsFunc(org.conf.Registers, func(b Book) bool { return b.ID == g.Register }) {
			return &FieldError{"register", fmt.Sprintf("there is no %q in organization %s", clip(g.Register, maxCode), g.Organization)}
		}
	}
	return nil
}

func (d *draft) create(a Actor, u User, secret json.RawMessage) {
	u.CreatedAt, u.Disabled = d.at, false
	rows := []store.Row{{Kind: rowUser, Key: u.Name, Value: encode(account{User: u, Epoch: d.seq()})}}
	if secret != nil {
		rows = append(rows, store.Row{Kind: rowPassword, Key: u.Name, Value: secret, Payload: true})
	}
	d.add(change{typ: typeUserCreated, fact: userFact(a, u.Name), rows: rows})
}

// grant adds what the account does not have yet.
func (d *draft) grant(a Actor, u account, grants []Grant) error {
	before := len(u.Grants)
	for _, g := range grants {
		if !slices.Contains(u.Grants, g) {
			u.Grants = append(u.Grants, g)
		}
	}
	if len(u.Grants) > before {
		d.add(change{
			typ: typeUserChanged, fact: userFact(a, u.Name),
			rows: []store.Row{{Kind: rowUser, Key: u.Name, Value: encode(u)}},
		})
	}
	return nil
}

// userFact is the data of records about an account.
func userFact(a Actor, user string) fact {
	return fact{By: a.User, Name: a.Name, Detail: encode(struct {
		User string `json:"user"`
	}{user})}
}

// Users lists the accounts that the actor administers.
func (o *Office) Users(ctx context.Context, a Actor) ([]User, error) {
	if err := a.may(Administer, "", ""); err != nil {
		return nil, err
	}
	users := []User{}
	err := eachRow(ctx, o.installation.journal, store.Range{Kind: rowUser}, func(row store.Row) (bool, error) {
		var u account
		if err := json.Unmarshal(row.Value, &u); err != nil {
			return false, fmt.Errorf("decoding user %s: %w", row.Key, err)
		}
		if a.governs(u.Grants...) {
			users = append(users, u.User)
		}
		return true, nil
	})
	return users, err
}

// user reads an account as the commit would leave it, for who administers it
// or, where self is allowed, bears its name.
func (d *draft) user(a Actor, name string, self bool) (account, error) {
	var u account
	ok, err := d.get(rowUser, name, &u)
	switch {
	case err != nil:
		return account{}, err
	case !ok:
		return account{}, fmt.Errorf("user %q: %w", clip(name, maxCode), ErrNotFound)
	case a.governs(u.Grants...) || self && a.User == name:
		return u, nil
	}
	return account{}, fmt.Errorf("%w: administering user %s", ErrForbidden, name)
}

// DisableUser ends an account, its sessions and tokens.
func (o *Office) DisableUser(ctx context.Context, a Actor, name string) error {
	err := o.installation.do(ctx, nil, func(d *draft) error { return d.disable(a, name) })
	if err != nil {
		return fmt.Errorf("disabling user: %w", err)
	}
	return nil
}

func (d *draft) disable(a Actor, name string) error {
	u, err := d.user(a, name, false)
	if err != nil || u.Disabled {
		return err
	}
	u.Disabled, u.Epoch = true, d.seq()
	rows := []store.Row{
		{Kind: rowUser, Key: name, Value: encode(u)},
		{Kind: rowPassword, Key: name},
	}
	tokens, err := d.tokens()
	if err != nil {
		return err
	}
	for key, t := range tokens {
		if t.User == name && !t.Revoked {
			t.Revoked = true
			rows = append(rows, store.Row{Kind: rowToken, Key: key, Value: encode(t)})
		}
	}
	d.add(change{
		typ: typeUserDisabled, fact: userFact(a, name), rows: rows,
		witness: encode(note{Kind: noteDisabled, User: name}),
	})
	return nil
}

// SetPassword replaces a password and ends the sessions opened with the former.
func (o *Office) SetPassword(ctx context.Context, a Actor, name, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := o.guard.hash(ctx, password)
	if err != nil {
		return err
	}
	err = o.installation.do(ctx, nil, func(d *draft) error {
		u, err := d.user(a, name, true)
		if err != nil {
			return err
		}
		if u.Disabled {
			return &FieldError{"user", "the account is disabled"}
		}
		u.Epoch = d.seq()
		d.add(change{typ: typeUserPassword, fact: userFact(a, name), rows: []store.Row{
			{Kind: rowUser, Key: name, Value: encode(u)},
			{Kind: rowPassword, Key: name, Value: encode(hash), Payload: true},
		}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("setting a password: %w", err)
	}
	return nil
}

func checkPassword(password string) error {
	if len([]rune(password)) < minPassword || len(password) > maxPassword {
		return &FieldError{"password", fmt.Sprintf("has at least %d characters and at most %d bytes", minPassword, maxPassword)}
	}
	return nil
}

// Account returns the actor as it is now, or ErrCredentials for an account
// that is disabled or unknown. A session ends when its Epoch differs from the
// one it was opened with.
func (o *Office) Account(ctx context.Context, name string) (Actor, error) {
	var u account
	ok, err := readRow(ctx, o.installation.journal, rowUser, strings.ToLower(clip(name, maxCode)), &u)
	if err != nil {
		return Actor{}, err
	}
	if !ok || u.Disabled {
		return Actor{}, ErrCredentials
	}
	return u.actor(), nil
}

// Login checks a password (argon2id) in constant effort. Attempts are
// throttled: ErrThrottled, which is an ErrCredentials.
func (o *Office) Login(ctx context.Context, name, password string) (Actor, error) {
	name = strings.ToLower(clip(name, maxCode))
	if !o.guard.admit(name) {
		return Actor{}, ErrThrottled
	}
	var hash string
	if _, err := readRow(ctx, o.installation.journal, rowPassword, name, &hash); err != nil {
		return Actor{}, err
	}
	fits, err := o.guard.check(ctx, hash, password)
	if err != nil {
		return Actor{}, err
	}
	a, err := o.Account(ctx, name)
	if !fits {
		err = ErrCredentials
	}
	if err != nil {
		o.guard.failed()
		return Actor{}, err
	}
	o.guard.passed(name)
	o.noteLogin(ctx, a)
	return a, nil
}

// noteLogin records a login for the security audit (AgID LG 3.1.7). One that
// cannot be recorded now is logged: whoever should put a full disk right has
// to get in.
func (o *Office) noteLogin(ctx context.Context, a Actor) {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	err := o.installation.do(ctx, nil, func(d *draft) error {
		d.add(change{typ: typeUserLogin, fact: userFact(a, a.User)})
		return nil
	})
	if err != nil {
		o.log.Warn("a login could not be recorded", "user", a.User, "err", err)
	}
}
