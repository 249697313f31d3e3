package store

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/factor"
)

// Factor is the second factor of a person.
type Factor struct {
	Sealed   []byte    // the secret
	LastStep int64     // of the last code that counted (factor.Step)
	SetUpAt  time.Time // zero: begun only
}

// Factor reads a person's second factor; ErrNone if she has none, or began none.
func (r *Reader) Factor(person string) (Factor, error) {
	return one(r.q, func(s scanner) (f Factor, err error) {
		var sealed string
		var setUp int64
		if err := s.Scan(&sealed, &f.LastStep, &setUp); err != nil {
			return f, err
		}
		f.SetUpAt = at(setUp)
		f.Sealed, err = base64.StdEncoding.DecodeString(sealed)
		return f, err
	}, `select sealed, last_step, set_up_at from factor where person = $1`, person)
}

// BeginFactor keeps the secret of a second factor of which no code was shown yet,
// in place of one that was begun before.
func (w *Writer) BeginFactor(person string, sealed []byte) error {
	return run(w.q, `insert into factor (person, sealed, last_step, set_up_at) values ($1, $2, 0, 0)
		on conflict (person) do update set sealed = excluded.sealed where factor.set_up_at = 0`,
		person, base64.StdEncoding.EncodeToString(sealed))
}

// UseFactor notes the step of a code that counts; the first one completes a
// factor that was begun. It reports false if that step, or a later one, has
// counted already.
func (w *Writer) UseFactor(person string, step int64) (bool, error) {
	n, err := changed(w.q, `update factor set last_step = $1, set_up_at = case when set_up_at = 0 then $2 else set_up_at end
		where person = $3 and last_step < $4`, step, ms(w.Now), person, step)
	return n > 0, err
}

// SetRecoveryCodes puts recovery codes in the place of a person's former ones;
// they are as factor.Typed gives them.
func (w *Writer) SetRecoveryCodes(person string, codes []string) error {
	if err := run(w.q, `delete from recovery_code where person = $1`, person); err != nil {
		return err
	}
	for _, c := range codes {
		if err := run(w.q, `insert into recovery_code (hash, person) values ($1, $2)`, factor.Hash(person, c), person); err != nil {
			return err
		}
	}
	return nil
}

// UseRecoveryCode uses a code up, and reports false if it is none of the
// person's.
func (w *Writer) UseRecoveryCode(person, code string) (bool, error) {
	n, err := changed(w.q, `delete from recovery_code where hash = $1 and person = $2`, factor.Hash(person, code), person)
	return n > 0, err
}

// RecoveryCodes counts the codes that a person has left.
func (r *Reader) RecoveryCodes(person string) (int64, error) {
	return one(r.q, value[int64], `select count(*) from recovery_code where person = $1`, person)
}

// DropFactor takes a person's second factor and recovery codes. Idempotent.
func (w *Writer) DropFactor(person string) error {
	return errors.Join(
		run(w.q, `delete from recovery_code where person = $1`, person),
		run(w.q, `delete from factor where person = $1`, person),
	)
}

// OneTimeToken gives the subject of a token without using it up. Wrong, expired
// and used ones are one refusal.
func (r *Reader) OneTimeToken(token, purpose string, now time.Time) (subject string, err error) {
	subject, err = one(r.q, value[string], `select subject from one_time_token
		where hash = $1 and purpose = $2 and used_at = 0 and expires_at > $3`, hashToken(token), purpose, ms(now))
	if errors.Is(err, ErrNone) {
		return "", provisioner.Refuse(provisioner.CodeTokenInvalid)
	}
	return subject, err
}
