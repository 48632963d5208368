package register

import (
	"errors"
	"fmt"
	"slices"
)

// Errors that callers branch on; each is wrapped with what it concerns.
var (
	ErrNotFound    = errors.New("not found")
	ErrForbidden   = errors.New("not permitted")
	ErrState       = errors.New("its state does not allow it") // see StateError
	ErrInvalid     = errors.New("invalid")                     // see FieldError
	ErrClock       = errors.New("the clock is behind the register")
	ErrUnavailable = errors.New("the register gives no numbers") // see Health
	ErrClosedDay   = errors.New("the day is closed")
	ErrNoManager   = errors.New("nobody is in office to close the day") // see OfficerError
	ErrCredentials = errors.New("wrong user name or password")
	// ErrThrottled is an ErrCredentials that says nothing of the password.
	ErrThrottled = fmt.Errorf("%w: too many attempts, try again in some minutes", ErrCredentials)
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

// covers tells whether the grant holds in the register; an empty register
// means anywhere in the organization, an empty organization anywhere at all.
func (g Grant) covers(org, register string) bool {
	return (g.Organization == "" || org == "" || g.Organization == org) &&
		(g.Register == "" || register == "" || g.Register == register)
}

// includes tells whether the grant reaches at least as far as h.
func (g Grant) includes(h Grant) bool {
	return (g.Organization == "" || g.Organization == h.Organization) &&
		(g.Register == "" || g.Register == h.Register)
}

// Actor is who acts: an authenticated user, or the daemon itself.
type Actor struct {
	User   string
	Name   string
	Grants []Grant
	// Epoch changes whenever sessions opened before must end; see Account.
	Epoch string
}

// Action is something that needs a permission.
type Action string

// Can tells whether the actor may do the action in the register (register may
// be empty: somewhere in the organization; org too: anywhere).
func (a Actor) Can(do Action, org, register string) bool {
	return slices.ContainsFunc(a.Grants, func(g Grant) bool {
		return g.covers(org, register) && slices.Contains(permits[g.Role], do)
	})
}

// may is Can as an error.
func (a Actor) may(do Action, org, register string) error {
	if a.Can(do, org, register) {
		return nil
	}
	where := org
	if register != "" {
		where += "/" + register
	}
	return fmt.Errorf("%w: %s in %q", ErrForbidden, do, where)
}

// governs tells whether the actor administers all that the grants reach, so
// that nobody gives away more than he has.
func (a Actor) governs(grants ...Grant) bool {
	everywhere := slices.ContainsFunc(a.Grants, func(g Grant) bool {
		return g.Organization == "" && slices.Contains(permits[g.Role], Administer)
	})
	for _, h := range grants {
		if !slices.ContainsFunc(a.Grants, func(g Grant) bool {
			return slices.Contains(permits[g.Role], Administer) && g.includes(h)
		}) {
			return false
		}
	}
	return everywhere || len(grants) > 0
}

// The actions.
const (
	Read       Action = "read"
	Work       Action = "register" // confirm, reject, sweep
	Manage     Action = "manage"   // close, annul, recover
	Administer Action = "administer"
)

// permits is what each role may do where it holds.
var permits = map[Role][]Action{
	Admin:    {Read, Work, Manage, Administer},
	Manager:  {Read, Work, Manage},
	Operator: {Read, Work},
	Auditor:  {Read},
}

// systemUser is the name under which the daemon acts; no account may bear it.
const systemUser = "system"

// System is the daemon itself and the operator at its console.
func System() Actor {
	return Actor{User: systemUser, Grants: []Grant{{Role: Admin}}}
}
