package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// hashToken is how tokens are kept: they are random, so SHA-256 is enough.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// StaffToken is a signed-in person.
type StaffToken struct {
	Person    string // empty: the first operator, whom no directory knows
	Tenant    string // in which she signed in; empty: not known
	Name      string
	Grants    []provisioner.Grant
	CreatedAt time.Time
	ExpiresAt time.Time
}

// AddStaffToken keeps a token by its hash.
func (w *Writer) AddStaffToken(token string, t StaffToken) error {
	grants, err := toJSON(t.Grants)
	if err != nil {
		return err
	}
	return run(w.q, `insert into staff_token (hash, person, tenant, name, grants, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		hashToken(token), t.Person, t.Tenant, t.Name, grants, ms(w.Now), ms(t.ExpiresAt))
}

// StaffToken finds who is signed in by a token, expired or not; ErrNone if
// nobody.
func (r *Reader) StaffToken(token string) (StaffToken, error) {
	return one(r.q, func(s scanner) (t StaffToken, err error) {
		var grants string
		var created, expires int64
		if err := s.Scan(&t.Person, &t.Tenant, &t.Name, &grants, &created, &expires); err != nil {
			return t, err
		}
		t.CreatedAt, t.ExpiresAt = at(created), at(expires)
		return t, fromJSON(grants, &t.Grants)
	}, `select person, tenant, name, grants, created_at, expires_at from staff_token where hash = $1`, hashToken(token))
}

// DropStaffToken forgets a token. Idempotent.
func (w *Writer) DropStaffToken(token string) error {
	return run(w.q, `delete from staff_token where hash = $1`, hashToken(token))
}

// DropStaffTokensOf signs somebody out everywhere. Idempotent.
func (w *Writer) DropStaffTokensOf(person string) error {
	return run(w.q, `delete from staff_token where person = $1`, person)
}

// ForgetStaffTokens deletes tokens that expired before t.
func (w *Writer) ForgetStaffTokens(t time.Time) error {
	return run(w.q, `delete from staff_token where expires_at < $1`, ms(t))
}

// Purposes of one-time tokens.
const (
	TokenOperator = "operator"
	TokenGateway  = "gateway"
	TokenFactor   = "factor" // to set up a second factor; the subject is the person
)

// AddOneTimeToken keeps a one-time token by its hash. A former unused one for
// the same purpose and subject dies.
func (w *Writer) AddOneTimeToken(token, purpose, subject string, expires time.Time) error {
	if err := run(w.q, `delete from one_time_token where purpose = $1 and subject = $2 and used_at = 0`, purpose, subject); err != nil {
		return err
	}
	return run(w.q, `insert into one_time_token (hash, purpose, subject, created_at, expires_at, used_at) values ($1, $2, $3, $4, $5, 0)`,
		hashToken(token), purpose, subject, ms(w.Now), ms(expires))
}

// UseOneTimeToken uses a token up and gives its subject. Wrong, expired and
// used ones are one refusal.
func (w *Writer) UseOneTimeToken(token, purpose string) (subject string, err error) {
	subject, err = one(w.q, value[string], `update one_time_token set used_at = $1
		where hash = $2 and purpose = $3 and used_at = 0 and expires_at > $4 returning subject`,
		ms(w.Now), hashToken(token), purpose, ms(w.Now))
	if errors.Is(err, ErrNone) {
		return "", provisioner.Refuse(provisioner.CodeTokenInvalid)
	}
	return subject, err
}
