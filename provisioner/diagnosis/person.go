package diagnosis

import (
	"strconv"

	"github.com/heimdraht/heimdraht/provisioner"
)

func (f Facts) directory() Link {
	l := link("directory", "Verzeichnis", "directory")
	name := same(f.Directory.Name)
	heard := f.Directory.HeardAt
	if f.Standing != nil && f.Standing.ReadAt.After(heard) {
		heard = f.Standing.ReadAt
	}
	if heard.IsZero() {
		return l.unknown(words{f.Directory.Name + " hat noch nichts gesagt", f.Directory.Name + " has said nothing yet"})
	}
	figure := words{f.Directory.Name + ", zuletzt gehört ", f.Directory.Name + ", last heard "}.with(f.ago(heard))
	if !f.Directory.Live && f.Now.Sub(heard) >= provisioner.StandingGoodFor {
		return l.wrongUnless(f.online(), figure, DirectorySilent, fill{"directory", name}, fill{"age", f.age(heard)})
	}
	if f.Directory.StaffGroupMissing {
		return l.noted(figure, GroupMissing, fill{"group", same(f.Tenant.StaffGroup)})
	}
	if f.Directory.Live {
		return l.ok(words{"wird verfolgt: ", "followed: "}.with(figure))
	}
	return l.ok(figure)
}

// why is in what way the directory says that her right has ended; empty: it
// does not.
func (f Facts) why() provisioner.WhyNot {
	if f.Standing == nil {
		return ""
	}
	return f.Tenant.WhyNot(*f.Standing, f.Now)
}

func (f Facts) held() bool { return f.Standing != nil && f.Standing.Held }

func (f Facts) brake() Link {
	l := link("brake", "Bremse", "brake")
	if f.Standing == nil {
		return l
	}
	if !f.held() {
		return l.ok(words{"hält nichts zurück", "holds nothing back"})
	}
	figure := words{"hält zurück: ", "holds back: "}.with(reason(f.why()))
	// She keeps what she had; whoever signs in is judged by what the directory says now.
	if r, ok := f.refused(); ok && r.isOfStanding() {
		return l.wrong(figure, BrakeHolding, fill{"why", reason(f.why())})
	}
	return l.noted(figure, BrakeHolding, fill{"why", reason(f.why())})
}

// reason puts a WhyNot into words.
func reason(why provisioner.WhyNot) words {
	switch why {
	case provisioner.WhyDeleted:
		return words{"gelöscht", "deleted"}
	case provisioner.WhyDisabled:
		return words{"abgeschaltet", "switched off"}
	case provisioner.WhyExpired:
		return words{"abgelaufen", "expired"}
	case provisioner.WhyLocked:
		return words{"von der Verwaltung gesperrt", "locked by an administrator"}
	case provisioner.WhyGroup:
		return words{"nicht in der Gruppe", "not in the group"}
	case provisioner.WhyPassword:
		return words{"Passwort abgelaufen", "password expired"}
	default:
		return words{"nicht mehr gemeldet", "no longer reported"}
	}
}

func (f Facts) account() Link {
	l := link("account", "Konto", "account")
	if f.Standing == nil {
		return l.unknown(words{"vom Verzeichnis noch nicht gehört", "not heard of from the directory yet"})
	}
	ended := f.Standing.At(f.Now).Ended
	var code provisioner.Code
	switch ended {
	case "":
		if until := f.Standing.ExternalUntil; !until.IsZero() && !f.Now.Before(until) {
			return l.wrong(words{"extern, vereinbart bis ", "external, agreed until "}.with(day(until)), ExternalEnded)
		}
		return l.ok(words{"aktiv", "active"})
	case provisioner.WhyDeleted:
		code = AccountDeleted
	case provisioner.WhyExpired:
		code = AccountExpired
	case provisioner.WhyLocked:
		code = AccountLocked
	default:
		code = AccountDisabled
	}
	if f.held() {
		return l.unknown(reason(ended).with(words{", von der Bremse zurückgehalten", ", held back by the brake"}))
	}
	return l.wrong(reason(ended), code)
}

func (f Facts) group() Link {
	l := link("group", "Gruppe", "group")
	group := same(f.Tenant.StaffGroup)
	switch {
	case f.Standing == nil, f.Standing.At(f.Now).Ended != "":
		return l
	case f.Tenant.IsStaff(f.Standing.Groups):
		return l.ok(words{"Mitglied von ", "member of "}.with(group))
	case f.held():
		return l.unknown(words{"kein Mitglied, von der Bremse zurückgehalten", "no member, held back by the brake"})
	}
	return l.wrong(words{"kein Mitglied von ", "no member of "}.with(group), NotInGroup, fill{"group", group})
}

func (f Facts) password() Link {
	l := link("password", "Passwort", "password")
	if f.Standing == nil {
		return l
	}
	s := f.Standing.At(f.Now)
	var figure words
	switch s.Password {
	case "":
		figure = words{"gilt, soweit das Verzeichnis es sagt", "good, as far as the directory tells"}
		if !s.PasswordEndsAt.IsZero() {
			figure = words{"gilt bis ", "good until "}.with(day(s.PasswordEndsAt))
		}
		return l.ok(figure.with(f.setAt(s)))
	case provisioner.PasswordMustChange:
		figure = words{"muss geändert werden", "must be changed"}
	default:
		figure = words{"abgelaufen", "expired"}
		if !s.PasswordEndsAt.IsZero() {
			figure = words{"abgelaufen am ", "expired on "}.with(day(s.PasswordEndsAt))
		}
	}
	figure = figure.with(f.setAt(s))
	switch {
	case f.held():
		return l.noted(figure, PasswordExpired)
	case f.Tenant.Policy.PasswordExpired == provisioner.PasswordClose:
		return l.wrong(figure, PasswordCloses)
	case f.Tenant.PasswordOnly(s):
		return l.wrong(figure, PasswordLimits)
	}
	if r, ok := f.refused(); ok && r.Code == provisioner.CodePasswordExpired {
		return l.wrong(figure, PasswordExpired)
	}
	return l.noted(figure, PasswordExpired)
}

// setAt says how old a password is, where the directory tells.
func (f Facts) setAt(s provisioner.Standing) words {
	if s.PasswordChangedAt.IsZero() {
		return words{}
	}
	return words{", gesetzt ", ", set "}.with(f.ago(s.PasswordChangedAt))
}

func (f Facts) signIn() Link {
	l := link("sign-in", "Anmeldung", "sign-in")
	r, ok := f.refused()
	if !ok {
		return f.signedIn(l)
	}
	figure := words{"zuletzt abgelehnt ", "last refused "}.with(f.ago(r.At))
	if cause, ok := SignIn(r.Cause); ok && (!f.Own || r.Code != provisioner.CodeSignInFailed) {
		l.State, l.Figure, l.Cause = Wrong, figure, cause
		return l
	}
	switch {
	case r.Code == provisioner.CodeDeviceLimit:
		return l.wrong(figure, DeviceLimit, fill{"limit", same(strconv.Itoa(max(1, f.Tenant.Policy.DevicesPerPerson)))})
	case r.isOfStanding():
		// The links before this one say how that is now.
		return l.ok(figure.with(words{", inzwischen behoben", ", mended since"}))
	case r.Code == provisioner.CodeDeviceSuspended:
		return l.unknown(figure) // the device's link says more
	case r.Code == provisioner.CodePersonSuspended:
		return l.refused(figure, provisioner.Refuse(provisioner.CodePersonSuspended).With("until", "", "")) // until when is not kept
	case r.Code == provisioner.CodeTenantSuspended && f.TenantRests == nil:
		return l.ok(figure.with(words{", inzwischen behoben", ", mended since"}))
	case r.Code == provisioner.CodeTenantSuspended:
		return f.restsWithTenant(l, figure, *f.TenantRests)
	}
	return l.refused(figure, provisioner.Refuse(r.Code))
}

// signedIn is of whom no refusal counts: whether she has to prove who she is once
// more before another connection. Nobody has to while the directory is silent.
func (f Facts) signedIn(l Link) Link {
	d := f.Device
	if d == nil || d.Static() || d.SignedInAt.IsZero() || !f.Directory.Live || !f.Tenant.Policy.SignInDue(d.SignedInAt, f.Now) {
		return l.ok(words{"keine Ablehnung, die noch zählt", "no refusal that still counts"})
	}
	figure := words{"zuletzt am ", "last on "}.with(day(d.SignedInAt))
	return l.wrongUnless(f.Session != nil, figure, SignInNeeded)
}
