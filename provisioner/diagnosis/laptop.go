package diagnosis

import (
	"cmp"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

func (f Facts) device() Link {
	l := link("device", "Laptop", "laptop")
	d := f.Device
	if d == nil {
		return l.wrong(words{"keiner angemeldet", "none enrolled"}, NoDevice)
	}
	if !d.RevokedAt.IsZero() {
		return l.wrong(words{d.Name + ", entzogen ", d.Name + ", revoked "}.with(f.ago(d.RevokedAt)), DeviceRevoked, fill{"day", day(d.RevokedAt)}, f.because(d.RevokedWhy))
	}
	// What the helpdesk took comes before what the directory took: it stays when
	// the directory gives back. What rests with the tenant comes first: nobody gives
	// it back to one laptop.
	rank := func(s provisioner.Suspension) int {
		switch {
		case s.Source == provisioner.SuspendedWithTenant:
			return 0
		case s.Source.ByHelpdesk():
			return 1
		case s.Source == provisioner.SuspendedByDirectory:
			return 2
		default:
			return 3
		}
	}
	if len(d.SuspendedBy) > 0 {
		first := slices.MinFunc(d.SuspendedBy, func(a, b provisioner.Suspension) int { return cmp.Compare(rank(a), rank(b)) })
		return f.suspended(l, first)
	}
	return l.ok(words{d.Name + ", angemeldet am ", d.Name + ", enrolled on "}.with(day(d.EnrolledAt)))
}

// because is why the helpdesk took something; to her own person the helpdesk says it itself.
func (f Facts) because(reason string) fill {
	if f.Own {
		return fill{"reason", words{"den Grund kennt der Helpdesk", "the helpdesk knows why"}}
	}
	return fill{"reason", words{cmp.Or(reason, "ohne Angabe"), cmp.Or(reason, "not stated")}}
}

func (f Facts) suspended(l Link, s provisioner.Suspension) Link {
	figure := same(f.Device.Name).with(words{", ruht seit dem ", ", suspended since "}).with(day(s.Since))
	switch {
	case s.Source == provisioner.SuspendedByEndDate:
		return l.wrong(figure, ExternalEnded)
	case s.Source == provisioner.SuspendedByApproval:
		return l.wrong(figure, ApprovalAwaited)
	case s.Source == provisioner.SuspendedByDirectory:
		return l.wrong(figure, SuspendedByDirectory, f.because(s.Reason))
	case s.Source == provisioner.SuspendedWithTenant:
		return f.restsWithTenant(l, figure, s)
	case !s.EndsAt.IsZero():
		return l.wrong(figure.with(words{" bis zum ", " until "}).with(day(s.EndsAt)), DeviceSuspendedFor, fill{"until", day(s.EndsAt)}, f.because(s.Reason))
	default:
		return l.wrong(figure, DeviceSuspended, fill{"day", day(s.Since)}, f.because(s.Reason))
	}
}

func (f Facts) restsWithTenant(l Link, figure words, s provisioner.Suspension) Link {
	var until words
	if !s.EndsAt.IsZero() {
		until = words{" bis zum ", " until "}.with(day(s.EndsAt))
	}
	return l.wrong(figure, TenantSuspended, fill{"day", day(s.Since)}, fill{"until", until}, f.because(s.Reason))
}

func (f Facts) certificate() Link {
	l := link("certificate", "Zertifikat", "certificate")
	if f.Device == nil || !f.Device.RevokedAt.IsZero() {
		return l
	}
	if f.static() {
		return l.ok(words{"keines, Zugang ohne Programm bis ", "none, access without an agent until "}.with(day(f.Device.StaticUntil)))
	}
	until := f.Device.CertificateNotAfter
	if f.Now.Before(until) {
		return l.ok(words{"gilt bis ", "valid until "}.with(day(until)))
	}
	return l.wrong(words{"abgelaufen am ", "expired on "}.with(day(until)), CertificateExpired, fill{"day", day(until)})
}

func (f Facts) houseRules() Link {
	l := link("house-rules", "Hausregeln", "house rules")
	switch {
	case f.Device == nil || !f.Device.RevokedAt.IsZero() || f.static():
		return l
	case f.Tenant.HouseRules.Version == "":
		return l.ok(words{"keine", "none"})
	case !f.RulesUnread:
		return l.ok(words{"bestätigt", "acknowledged"})
	}
	return l.wrongUnless(f.Session != nil, words{"in der jetzigen Fassung nicht bestätigt", "not acknowledged in their present version"}, RulesUnread)
}

// agentsKept is how many minor versions an agent may be behind the control plane:
// so many are tested together.
const agentsKept = 2

func (f Facts) version() Link {
	l := link("version", "Programm", "agent")
	if f.Device == nil || f.Device.AgentVersion == "" {
		return l
	}
	agent := f.Device.AgentVersion
	if !TooOld(agent, f.Version) {
		return l.ok(same(agent))
	}
	return l.noted(words{agent + ", der Server hat " + f.Version, agent + ", the server has " + f.Version}, AgentOld, fill{"version", same(agent)}, fill{"server", same(f.Version)})
}

// TooOld reports whether an agent's version is too far behind the control
// plane's: a major version, or more than two minor ones. What is no release (v1.2.3)
// is never too old.
func TooOld(agent, server string) bool {
	a, ok := parseVersion(agent)
	s, known := parseVersion(server)
	if !ok || !known {
		return false
	}
	return a.major < s.major || a.major == s.major && a.minor+agentsKept < s.minor
}

// reopenedTooOften is how many new connections of one laptop within reopenedWithin
// are not what a person does.
const reopenedTooOften = 3

// takenOver counts the closings by which a newer connection of the same laptop ended one.
func (f Facts) takenOver() int {
	n := 0
	for _, s := range f.Closed {
		if s.ClosedWhy == provisioner.CodeSessionElsewhere && f.Now.Sub(s.ClosedAt) <= reopenedWithin {
			n++
		}
	}
	return n
}

// lastClosed is why the last session was closed, if no refusal came after it.
func (f Facts) lastClosed() (provisioner.Session, bool) {
	if f.Session != nil || len(f.Closed) == 0 {
		return provisioner.Session{}, false
	}
	last := slices.MaxFunc(f.Closed, func(a, b provisioner.Session) int { return a.ClosedAt.Compare(b.ClosedAt) })
	return last, true
}
