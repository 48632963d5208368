package register

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

const (
	tokenPrefix = "pd_"
	tokenBytes  = 32
	maxTTL      = 10 * 365 * 24 * time.Hour
	// tokenID is how much of a secret's digest names the token.
	tokenID = 16
)

// Token is an API token without its secret.
type Token struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires"`
	Revoked   bool      `json:"revoked,omitempty"`
}

// CreateToken makes an API token; the secret is returned once and only its
// digest kept. A user may make his own.
func (o *Office) CreateToken(ctx context.Context, a Actor, user string, ttl time.Duration) (Token, string, error) {
	if ttl <= 0 || ttl > maxTTL {
		return Token{}, "", &FieldError{"ttl", fmt.Sprintf("is more than 0 and at most %s", maxTTL)}
	}
	random := make([]byte, tokenBytes)
	rand.Read(random)
	secret := tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	key := store.Sum([]byte(secret)).String()
	var t Token
	err := o.installation.do(ctx, nil, func(d *draft) error {
		u, err := d.user(a, user, true)
		if err != nil {
			return err
		}
		if u.Disabled {
			return &FieldError{"user", "the account is disabled"}
		}
		t = Token{ID: key[:tokenID], User: user, CreatedAt: d.at, Expires: stamp(d.at.Add(ttl))}
		d.add(change{
			typ: typeTokenCreated, fact: userFact(a, user),
			rows: []store.Row{{Kind: rowToken, Key: key, Value: encode(t)}},
		})
		return nil
	})
	if err != nil {
		return Token{}, "", fmt.Errorf("making a token: %w", err)
	}
	return t, secret, nil
}

// Tokens lists the tokens of the accounts that the actor administers, and his
// own.
func (o *Office) Tokens(ctx context.Context, a Actor) ([]Token, error) {
	governed := map[string]bool{a.User: true}
	if a.Can(Administer, "", "") {
		users, err := o.Users(ctx, a)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			governed[u.Name] = true
		}
	}
	tokens := []Token{}
	err := eachToken(ctx, o.installation.journal, func(_ string, t Token) {
		if governed[t.User] {
			tokens = append(tokens, t)
		}
	})
	return tokens, err
}

func eachToken(ctx context.Context, j store.Journal, yield func(key string, t Token)) error {
	return eachRow(ctx, j, store.Range{Kind: rowToken}, func(row store.Row) (bool, error) {
		var t Token
		if err := json.Unmarshal(row.Value, &t); err != nil {
			return false, fmt.Errorf("decoding token %s: %w", row.Key[:min(tokenID, len(row.Key))], err)
		}
		yield(row.Key, t)
		return true, nil
	})
}

// tokens are all as the commit would leave them, but those it makes.
func (d *draft) tokens() (map[string]Token, error) {
	all := map[string]Token{}
	if err := eachToken(d.ctx, d.journal, func(key string, t Token) { all[key] = t }); err != nil {
		return nil, err
	}
	for key := range all {
		var t Token
		if _, err := d.get(rowToken, key, &t); err != nil {
			return nil, err
		}
		all[key] = t
	}
	return all, nil
}

// RevokeToken ends a token.
func (o *Office) RevokeToken(ctx context.Context, a Actor, id string) error {
	err := o.installation.do(ctx, nil, func(d *draft) error {
		tokens, err := d.tokens()
		if err != nil {
			return err
		}
		for key, t := range tokens {
			if t.ID == id {
				return d.revoke(a, key, t)
			}
		}
		return fmt.Errorf("token %q: %w", clip(id, maxCode), ErrNotFound)
	})
	if err != nil {
		return fmt.Errorf("revoking a token: %w", err)
	}
	return nil
}

func (d *draft) revoke(a Actor, key string, t Token) error {
	if _, err := d.user(a, t.User, true); err != nil || t.Revoked {
		return err
	}
	t.Revoked = true
	d.add(change{
		typ: typeTokenRevoked, fact: userFact(a, t.User),
		rows:    []store.Row{{Kind: rowToken, Key: key, Value: encode(t)}},
		witness: encode(note{Kind: noteRevoked, Token: key}),
	})
	return nil
}

// Authenticate returns whose token it is, or ErrCredentials.
func (o *Office) Authenticate(ctx context.Context, secret string) (Actor, error) {
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > maxKey {
		return Actor{}, ErrCredentials
	}
	var t Token
	ok, err := readRow(ctx, o.installation.journal, rowToken, store.Sum([]byte(secret)).String(), &t)
	if err != nil {
		return Actor{}, err
	}
	if !ok || t.Revoked || !time.Now().Before(t.Expires) {
		return Actor{}, ErrCredentials
	}
	return o.Account(ctx, t.User)
}
