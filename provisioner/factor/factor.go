// Package factor is the second factor of people who sign in: one-time codes by
// time (TOTP, RFC 6238) from an app on a phone, and recovery codes for the day
// the phone is gone.
//
// What always holds here:
//   - A code counts in its own half minute and in the ones before and after:
//     clocks drift, and people type slowly. It counts once: the caller keeps the
//     step of the last one, and no step up to it counts again.
//   - Nothing here tells by its time how much of a code was right.
//   - A recovery code has 80 random bits, so that SHA-256 is enough to keep it.
//
// Not its business: how often somebody may guess (signin), and where secrets
// are kept (keyring, store).
package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

const (
	// Period is how long a step lasts: RFC 6238's default, and the only one that
	// every app knows.
	Period = 30 * time.Second
	// secretSize is the size of the secret in bytes: that of SHA-1's output, as
	// RFC 4226 section 4 recommends.
	secretSize = 20
	// drift is how many steps a clock may be off.
	drift = 1
	// farOff is how far a clock may be off for us to notice that it is the clock,
	// in steps: a quarter of an hour.
	farOff = 30
)

// Secret is what server and phone share. It never shows itself.
type Secret [secretSize]byte

// NewSecret draws one.
func NewSecret() (s Secret) {
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the program instead
	return s
}

// Format keeps a secret out of everything that is printed.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// MarshalJSON keeps a secret out of JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Base32 is the secret as it is typed into an app (RFC 4648, without padding).
func (s Secret) Base32() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s[:])
}

// URI is what an app reads from a QR code: otpauth://totp/ISSUER:ACCOUNT. The
// issuer is shown in bold there, the account beneath.
func (s Secret) URI(issuer, account string) string {
	issuer = strings.ReplaceAll(issuer, ":", " ") // it parts the two
	v := url.Values{"secret": {s.Base32()}, "issuer": {issuer}}
	// Some apps take a plus sign for itself.
	query := strings.ReplaceAll(v.Encode(), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + query
}

// Step is the number of a time's half minute since 1970.
func Step(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code is what an app shows at a time that was told a secret in base 32.
func Code(secret string, t time.Time) (string, error) {
	return hotp.GenerateCodeCustom(secret, uint64(Step(t)), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// Why a code does not count.
var (
	ErrWrong = errors.New("the code is wrong")
	// ErrUsed says that it, or a later one, was used before.
	ErrUsed = errors.New("the code was used before")
	// ErrClock says that the code would be right at another time of day: the
	// phone's clock, or ours, is wrong.
	ErrClock = errors.New("the code is right, at another time")
)

// Verify checks a code of six digits, and gives the step it belongs to. after is
// the step of the last code that counted.
func Verify(s Secret, code string, now time.Time, after int64) (step int64, err error) {
	at := Step(now)
	found, off := int64(-1), int64(0)
	for i := int64(-farOff); i <= farOff; i++ {
		ok, err := hotp.ValidateCustom(code, uint64(max(at+i, 0)), s.Base32(),
			hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, ErrWrong // it has not six digits
		}
		// Of two steps with one code the nearest counts.
		if ok && (found < 0 || abs(i) < abs(off)) {
			found, off = at+i, i
		}
	}
	switch {
	case found < 0:
		return 0, ErrWrong
	case abs(off) > drift:
		return 0, ErrClock
	case found <= after:
		return 0, ErrUsed
	}
	return found, nil
}

func abs(i int64) int64 { return max(i, -i) }

// RecoveryCodes is how many are given out at a time.
const RecoveryCodes = 10

// alphabet has no letter that is taken for a digit or another letter
// (Crockford's base 32).
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const codeLength = 16

// NewRecoveryCodes draws a list of codes, as they are shown: xxxx-xxxx-xxxx-xxxx.
func NewRecoveryCodes() []string {
	list := make([]string, RecoveryCodes)
	for i := range list {
		var random [codeLength]byte
		_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
		var b strings.Builder
		for n, v := range random {
			if n > 0 && n%4 == 0 {
				b.WriteByte('-')
			}
			b.WriteByte(alphabet[v%32])
		}
		list[i] = b.String()
	}
	return list
}

// Typed is what somebody typed, sorted: the digits of a code by time, or a
// recovery code. Both are empty where it is neither.
func Typed(s string) (code, recovery string) {
	s = strings.NewReplacer("-", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.Join(strings.Fields(s), "")))
	if strings.Trim(s, alphabet) != "" {
		return "", ""
	}
	switch len(s) {
	case 6:
		if strings.Trim(s, "0123456789") == "" {
			return s, ""
		}
	case codeLength:
		return "", s
	}
	return "", ""
}

// Hash is how a person's recovery code is kept; code is as Typed gives it.
func Hash(person, code string) string {
	sum := sha256.Sum256([]byte("heimdraht recovery code 1\n" + person + "\n" + code))
	return hex.EncodeToString(sum[:])
}
