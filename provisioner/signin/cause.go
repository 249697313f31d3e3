package signin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// cause is why a sign-in failed, as a stable code for the helpdesk. Those of
// package directory are causes too.
type cause string

// Causes that no directory gives.
const (
	causeUnknownTenant   cause = "unknown-tenant"
	causeLoginThrottled  cause = "too-many-tries"
	causeSourceThrottled cause = "too-many-tries-from-address"
	causeCodeWrong       cause = "wrong-code"
	causeCodeUsed        cause = "code-used-before"
	causeCodeClock       cause = "code-of-another-time"
	causeNoInvitation    cause = "no-such-invitation"
	causeOtherSerial     cause = "invitation-other-serial-number"
	causeNoSerial        cause = "invitation-no-serial-number"
)

// causeInvitation begins the causes of invitations that are over; how they ended
// follows.
const causeInvitation = "invitation-"

// failure is a sign-in without a proven password.
type failure struct {
	cause cause
	err   error // may be nil
	fault bool  // the directory did not answer: no fault of the person's
}

func (f *failure) Error() string {
	if f.err == nil {
		return string(f.cause)
	}
	return fmt.Sprintf("%s: %v", f.cause, f.err)
}

func (f *failure) Unwrap() error { return f.err }

// failureOf sorts an error of a directory.
func failureOf(err error) *failure {
	var full *throttled
	if errors.As(err, &full) {
		return &failure{cause: full.count.full}
	}
	c := directory.CauseOf(err)
	return &failure{cause: cause(c), err: err, fault: c == directory.Unavailable || c == directory.Misconfigured}
}

// Told is the cause as it is kept for the helpdesk: the code, and what an
// administrator must know of a fault.
func (f *failure) Told() string {
	if !f.fault {
		return string(f.cause)
	}
	text := []rune(f.Error())
	return string(text[:min(len(text), maxCause)])
}

// maxCause is how many runes of a cause are kept: enough for what happened and
// what to do.
const maxCause = 500

// Cause puts a kept cause into words, in "en", else in German. What is no
// cause of a sign-in is given back as it is.
func Cause(kept, language string) string {
	code, detail, _ := strings.Cut(kept, ": ")
	words, ok := causes()[code]
	if !ok {
		return kept
	}
	text := words.german
	if language == "en" {
		text = words.english
	}
	if detail != "" {
		text += " (" + detail + ")"
	}
	return text
}

type words struct{ german, english string }

func causes() map[string]words {
	return map[string]words{
		string(causeUnknownTenant):        {"Zu dieser Anmeldeadresse oder Mail-Domäne gehört keine Verwaltung", "No tenant belongs to this address or mail domain"},
		string(causeLoginThrottled):       {"Zu viele Fehlversuche mit diesem Konto; es geht höchstens 30 Minuten nach dem ersten wieder", "Too many wrong tries with this account; it works again at most 30 minutes after the first"},
		string(causeSourceThrottled):      {"Zu viele Fehlversuche von dieser Netzadresse; es geht höchstens 10 Minuten nach dem ersten wieder", "Too many wrong tries from this network address; it works again at most 10 minutes after the first"},
		string(causeCodeWrong):            {"Falscher Code vom Telefon, oder kein gültiger Ersatzcode", "Wrong code from the phone, or no valid recovery code"},
		string(causeCodeUsed):             {"Der Code vom Telefon wurde schon benutzt", "The code from the phone was used before"},
		string(causeCodeClock):            {"Die Uhr des Telefons geht falsch: Der Code gehört zu einer anderen Zeit", "The phone's clock is wrong: the code belongs to another time"},
		string(causeNoInvitation):         {"Diese Einladung gibt es nicht", "There is no such invitation"},
		string(causeOtherSerial):          {"Die Einladung ist für einen Laptop mit einer anderen Seriennummer", "The invitation is for a laptop with another serial number"},
		string(causeNoSerial):             {"Die Einladung ist für eine Seriennummer, und dieser Laptop nennt keine", "The invitation is for a serial number, and this laptop states none"},
		causeInvitation + "used":          {"Die Einladung wurde schon benutzt", "The invitation has been used already"},
		causeInvitation + "withdrawn":     {"Die Einladung wurde zurückgezogen", "The invitation has been withdrawn"},
		causeInvitation + "replaced":      {"Die Einladung wurde durch eine neuere ersetzt", "The invitation was replaced by a newer one"},
		causeInvitation + "expired":       {"Die Einladung ist abgelaufen", "The invitation has expired"},
		string(directory.UnknownLogin):    {"Das Verzeichnis kennt diesen Benutzernamen nicht", "The directory does not know this user name"},
		string(directory.AmbiguousLogin):  {"Der Benutzername gehört zu mehreren Einträgen im Verzeichnis", "The user name belongs to more than one entry of the directory"},
		string(directory.WrongPassword):   {"Falsches Passwort", "Wrong password"},
		string(directory.EmptyPassword):   {"Leeres Passwort", "Empty password"},
		string(directory.PasswordTooLong): {"Das Passwort ist zu lang", "The password is too long"},
		string(directory.Locked):          {"Das Konto ist nach Fehlversuchen gesperrt", "The account is locked after wrong tries"},
		string(directory.Disabled):        {"Das Konto ist abgeschaltet", "The account is switched off"},
		string(directory.NotPermitted):    {"Das Verzeichnis erlaubt die Anmeldung zu dieser Zeit oder von dort nicht", "The directory does not allow signing in at this time or from there"},
		string(directory.Unavailable):     {"Das Verzeichnis hat nicht geantwortet", "The directory did not answer"},
		string(directory.Misconfigured):   {"Das Verzeichnis ist falsch eingerichtet", "The directory is set up wrongly"},
	}
}
