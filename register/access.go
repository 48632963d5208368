package register

import (
	"context"
	"errors"
	"time"
)

// Errors that callers branch on; each is wrapped with what it concerns.
var (
	ErrNotFound    = errors.New("not found")
	ErrForbidden   = errors.New("not permitted")
	ErrState       = errors.New("its state does not allow it") // see StateError
	ErrInvalid     = errors.New("invalid")                     // see FieldError
	ErrClock       = errors.New("the clock is behind the register")
	ErrUnavailable = errors.New("the register gives no numbers") // see Health
	ErrCredentials = errors.New("wrong user name or password")
)

// FieldError is an ErrInvalid naming the field.
type FieldError struct{ Field, Detail string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }
func (e *FieldError) Unwrap() error { return ErrInvalid }

// StateError is an ErrState telling where the entry stands and who put it there.
type StateError struct {
	ID      string
	State   State
	Decided *Decision
}

func (e *StateError) Error() string { return "pending entry " + e.ID + " is " + string(e.State) }
func (e *StateError) Unwrap() error { return ErrState }

// Role is what a user may do; see Can.
type Role string

// The roles of contract section 1.
const (
	Admin    Role = "admin"
	Manager  Role = "manager"
	Operator Role = "operator"
	Auditor  Role = "auditor"
)

// Grant gives a role in a register, in an organization (Register empty) or
// everywhere (both empty).
type Grant struct {
	Role         Role   `json:"role"`
	Organization string `json:"organization,omitempty"`
	Register     string `json:"register,omitempty"`
}

// Actor is who acts: an authenticated user, or the daemon itself.
type Actor struct {
	User   string
	Name   string
	Grants []Grant
}

// Action is something that needs a permission.
type Action string

// Can tells whether the actor may do the action in the register (register may
// be empty: somewhere in the organization; org too: anywhere).
func (a Actor) Can(do Action, org, register string) bool { panic("not built") }

// The actions.
const (
	Read       Action = "read"
	Work       Action = "register" // confirm, reject, sweep
	Manage     Action = "manage"   // close, annul, recover
	Administer Action = "administer"
)

// System is the daemon itself and the operator at its console.
func System() Actor { panic("not built") }

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

// AddUser creates an account, or adds the grant to the one that exists.
func (o *Office) AddUser(ctx context.Context, a Actor, u User, password string) error {
	panic("not built")
}

// Users lists the accounts.
func (o *Office) Users(ctx context.Context, a Actor) ([]User, error) { panic("not built") }

// DisableUser ends an account, its sessions and tokens.
func (o *Office) DisableUser(ctx context.Context, a Actor, name string) error { panic("not built") }

// SetPassword replaces a password and ends the sessions opened with the former.
func (o *Office) SetPassword(ctx context.Context, a Actor, name, password string) error {
	panic("not built")
}

// Login checks a password (argon2id) in constant effort. Attempts are throttled.
func (o *Office) Login(ctx context.Context, name, password string) (Actor, error) {
	panic("not built")
}

// Token is an API token without its secret.
type Token struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires"`
	Revoked   bool      `json:"revoked,omitempty"`
}

// CreateToken makes an API token; the secret is returned once and only its
// digest kept.
func (o *Office) CreateToken(ctx context.Context, a Actor, user string, ttl time.Duration) (Token, string, error) {
	panic("not built")
}

// Tokens lists tokens.
func (o *Office) Tokens(ctx context.Context, a Actor) ([]Token, error) { panic("not built") }

// RevokeToken ends a token.
func (o *Office) RevokeToken(ctx context.Context, a Actor, id string) error { panic("not built") }

// Authenticate returns whose token it is, or ErrCredentials.
func (o *Office) Authenticate(ctx context.Context, secret string) (Actor, error) {
	panic("not built")
}
