package diagnosis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

func noon() time.Time { return time.Date(2027, 3, 1, 11, 0, 0, 0, time.UTC) }

const (
	group  = "cn=Homeoffice"
	agent  = "v1.4.0"
	theirs = "device-b"
)

// well is somebody who is connected and has nothing to complain about.
func well() diagnosis.Facts {
	now := noon()
	gateway := provisioner.Gateway{Name: "gw1", Sessions: 100, Open: 40, PublicKey: provisioner.Key{1}}
	return diagnosis.Facts{
		Now:       now,
		Tenant:    provisioner.Tenant{Name: "stadt", Directory: "ad", StaffGroup: group, Policy: provisioner.DefaultPolicy()},
		Directory: diagnosis.Directory{Name: "ad", Live: true, HeardAt: now.Add(-time.Second)},
		Standing:  &provisioner.Standing{Groups: []string{group}, ReadAt: now.Add(-time.Hour), Entitled: true},
		Device: &provisioner.Device{
			ID: "device-a", Name: "nb-17", AgentVersion: agent, EnrolledAt: now.Add(-48 * time.Hour), CertificateNotAfter: now.Add(20 * 24 * time.Hour),
		},
		Session: &provisioner.Session{
			ID: "s", Device: "device-a", Gateway: "gw1", Pool: "vpn", Revision: 7, OpenedAt: now.Add(-time.Hour), RenewedAt: now.Add(-30 * time.Second),
			ObservedAt: now.Add(-10 * time.Second), LastHandshake: now.Add(-14 * time.Second), ReceivedBytes: 4_000_000, SentBytes: 9_000_000,
			Reported: provisioner.Usage{Clock: now.Add(-30 * time.Second), LastHandshake: now.Add(-40 * time.Second), SentBytes: 3_900_000, ReceivedBytes: 8_800_000},
		},
		Pools:    []seat.Offer{{Pool: "vpn", Quantity: provisioner.Quantity{Seats: 10, Running: 1}, Held: 4}},
		Gateways: []diagnosis.Gateway{{Gateway: gateway, Reachable: true, ContactAt: now.Add(-time.Second), Revision: 9}},
		Version:  agent,
	}
}

// off is the same person with the laptop switched off.
func off() diagnosis.Facts {
	f := well()
	f.Session = nil
	return f
}

// fault is one thing that can be wrong, in the order in which it is looked for.
type fault struct {
	name   string
	inject func(*diagnosis.Facts)
	code   provisioner.Code // of whoever is not connected
	noted  bool             // it stops nobody
}

func refusal(code provisioner.Code, cause, device string, ago time.Duration) func(*diagnosis.Facts) {
	return func(f *diagnosis.Facts) {
		f.Refusals = append([]diagnosis.Refusal{{At: f.Now.Add(-ago), Code: code, Cause: cause, Device: device}}, f.Refusals...)
	}
}

// faults are those of somebody who is not connected, the nearest to the root first.
func faults() []fault {
	ended := func(why provisioner.WhyNot) func(*diagnosis.Facts) {
		return func(f *diagnosis.Facts) { f.Standing.Ended = why }
	}
	expired := func(policy provisioner.PasswordPolicy) func(*diagnosis.Facts) {
		return func(f *diagnosis.Facts) {
			f.Standing.Password, f.Tenant.Policy.PasswordExpired = provisioner.PasswordHasExpired, policy
		}
	}
	return []fault{
		{"directory silent", func(f *diagnosis.Facts) {
			f.Directory.Live, f.Directory.HeardAt, f.Standing.ReadAt = false, f.Now.Add(-5*time.Hour), f.Now.Add(-6*time.Hour)
		}, diagnosis.DirectorySilent, false},
		{"deleted", ended(provisioner.WhyDeleted), diagnosis.AccountDeleted, false},
		{"disabled", ended(provisioner.WhyDisabled), diagnosis.AccountDisabled, false},
		{"expired by its date", func(f *diagnosis.Facts) { f.Standing.EndsAt = f.Now.Add(-time.Minute) }, diagnosis.AccountExpired, false},
		{"locked", ended(provisioner.WhyLocked), diagnosis.AccountLocked, false},
		{"left the group", func(f *diagnosis.Facts) { f.Standing.Groups = nil }, diagnosis.NotInGroup, false},
		{"password closes", expired(provisioner.PasswordClose), diagnosis.PasswordCloses, false},
		{"password limits", expired(provisioner.PasswordHostsOnly), diagnosis.PasswordLimits, false},
		{"wrong password", refusal(provisioner.CodeSignInFailed, "wrong-password", "", time.Minute), diagnosis.WrongPassword, false},
		{"locked by tries", refusal(provisioner.CodeSignInFailed, "locked", "", time.Minute), diagnosis.LockedByTries, false},
		{"device limit", refusal(provisioner.CodeDeviceLimit, "", "", time.Minute), diagnosis.DeviceLimit, false},
		{"a refusal of tomorrow", refusal("of-the-day-after", "", "", time.Minute), "of-the-day-after", false},
		{"sign-in due", func(f *diagnosis.Facts) {
			f.Tenant.Policy.SignInEvery, f.Device.SignedInAt = 24*time.Hour, f.Now.Add(-25*time.Hour)
		}, diagnosis.SignInNeeded, false},
		{"no device", func(f *diagnosis.Facts) { f.Device = nil }, diagnosis.NoDevice, false},
		{"revoked", func(f *diagnosis.Facts) { f.Device.RevokedAt = f.Now.Add(-time.Hour) }, diagnosis.DeviceRevoked, false},
		{"suspended with the tenant", func(f *diagnosis.Facts) {
			f.Device.SuspendedBy = append(f.Device.SuspendedBy, provisioner.Suspension{Source: provisioner.SuspendedWithTenant, Reason: "Einbruch", Since: f.Now})
		}, diagnosis.TenantSuspended, false},
		{"suspended", func(f *diagnosis.Facts) {
			f.Device.SuspendedBy = append(f.Device.SuspendedBy, provisioner.Suspension{Source: provisioner.SuspendedByDirectory},
				provisioner.Suspension{Source: provisioner.SuspendedWithPerson, Reason: "Urlaub", Since: f.Now})
		}, diagnosis.DeviceSuspended, false},
		{"waits for approval", func(f *diagnosis.Facts) {
			f.Device.SuspendedBy = append(f.Device.SuspendedBy, provisioner.Suspension{Source: provisioner.SuspendedByApproval, Since: f.Now})
			refusal(provisioner.CodeApprovalAwaited, "", f.Device.ID, time.Minute)(f)
		}, diagnosis.ApprovalAwaited, false},
		{"certificate expired", func(f *diagnosis.Facts) { f.Device.CertificateNotAfter = f.Now }, diagnosis.CertificateExpired, false},
		{"house rules unread", func(f *diagnosis.Facts) { f.Tenant.HouseRules.Version, f.RulesUnread = "2", true }, diagnosis.RulesUnread, false},
		{"no licence", func(f *diagnosis.Facts) { f.Pools = nil }, diagnosis.NoLicence, false},
		{"waits while a crisis is closed to her", func(f *diagnosis.Facts) { f.Waits, f.Rests, f.Pools[0].Held = true, true, 10 }, provisioner.CodeCrisisMode, false},
		{"contract over", func(f *diagnosis.Facts) { f.Pools[0].Quantity = provisioner.Quantity{} }, diagnosis.LicenceOver, false},
		{"no seat", func(f *diagnosis.Facts) { f.Pools[0].Held = 10 }, diagnosis.NoSeat, false},
		{"waits for a seat", func(f *diagnosis.Facts) { f.Waits, f.Position, f.Pools[0].Held = true, 3, 10 }, diagnosis.SeatAwaited, false},
		{"no gateway", func(f *diagnosis.Facts) { f.Gateways = nil }, diagnosis.NoGateway, false},
		{"gateway away", func(f *diagnosis.Facts) { f.Gateways[0].Reachable = false }, diagnosis.GatewayAway, false},
		{"gateways left", func(f *diagnosis.Facts) { f.Gateways[0].Drain = provisioner.Drain{Since: f.Now, By: f.Now} }, diagnosis.GatewaysResting, false},
		{"gateway full", func(f *diagnosis.Facts) { f.Gateways[0].Open = 100 }, diagnosis.GatewayFull, false},
		{"turned away for a reason of tomorrow", refusal("of-tomorrow", "", "device-a", time.Minute), "of-tomorrow", false},
		{"staff group missing", func(f *diagnosis.Facts) { f.Directory.StaffGroupMissing = true }, diagnosis.GroupMissing, true},
		{"password expired, kept", expired(provisioner.PasswordKeep), diagnosis.PasswordExpired, true},
		{"closed by her", func(f *diagnosis.Facts) {
			f.Closed = []provisioner.Session{{ClosedAt: f.Now.Add(-time.Hour), ClosedWhy: provisioner.CodeSessionClosed}}
		}, diagnosis.SessionClosed, true},
		{"agent too old", func(f *diagnosis.Facts) { f.Version = "v1.7.0" }, diagnosis.AgentOld, true},
	}
}

// Each fault by itself is the cause.
func TestOneFault(t *testing.T) {
	if got := diagnosis.Judge(well()).Cause.Code; got != diagnosis.Connected {
		t.Errorf("well: %s", got)
	}
	if got := diagnosis.Judge(off()).Cause.Code; got != diagnosis.LaptopOff {
		t.Errorf("off: %s", got)
	}
	for _, fault := range faults() {
		f := off()
		fault.inject(&f)
		if got := diagnosis.Judge(f).Cause.Code; got != fault.code {
			t.Errorf("%s: %s, want %s", fault.name, got, fault.code)
		}
	}
}

// Of two faults the one that is nearer to the root is the cause, and one that
// stops her always comes before one that does not.
func TestTheNearestToTheRoot(t *testing.T) {
	list := faults()
	for i, first := range list {
		for _, second := range list[i+1:] {
			f := off()
			second.inject(&f)
			if f.Device == nil || f.Standing == nil {
				continue // there is nothing to break any more
			}
			first.inject(&f)
			got := diagnosis.Judge(f).Cause.Code
			if excuses(first.code, second.code) {
				continue
			}
			if got != first.code {
				t.Errorf("%s and %s: %s, want %s", first.name, second.name, got, first.code)
			}
		}
	}
}

// excuses names pairs that cannot be told apart, because both are the same fact.
func excuses(first, second provisioner.Code) bool {
	same := [][]provisioner.Code{
		{diagnosis.AccountDeleted, diagnosis.AccountDisabled, diagnosis.AccountExpired, diagnosis.AccountLocked},
		{diagnosis.PasswordCloses, diagnosis.PasswordLimits, diagnosis.PasswordExpired},
		{diagnosis.WrongPassword, diagnosis.LockedByTries, diagnosis.DeviceLimit},
		{diagnosis.NoLicence, diagnosis.LicenceOver, diagnosis.NoSeat, diagnosis.SeatAwaited}, {diagnosis.NoGateway, diagnosis.GatewayAway, diagnosis.GatewayFull, diagnosis.GatewaysResting},
		{diagnosis.NoDevice, diagnosis.DeviceRevoked, diagnosis.CertificateExpired},
	}
	return slices.ContainsFunc(same, func(c []provisioner.Code) bool { return slices.Contains(c, first) && slices.Contains(c, second) })
}

// What is wrong with an open session.
func TestSessions(t *testing.T) {
	for _, c := range []struct {
		name   string
		inject func(*diagnosis.Facts)
		want   provisioner.Code
	}{
		{"just opened", func(f *diagnosis.Facts) {
			f.Session.OpenedAt, f.Session.RenewedAt, f.Session.ObservedAt = f.Now.Add(-2*time.Second), f.Now.Add(-2*time.Second), f.Now.Add(-20*time.Second)
			silence(f)
		}, diagnosis.Connecting},
		{"no handshake, and nothing arrives", silence, diagnosis.GatewaySilent},
		{"no handshake any more", func(f *diagnosis.Facts) {
			f.Session.LastHandshake, f.Session.Reported.LastHandshake = f.Now.Add(-4*time.Minute), f.Now.Add(-5*time.Minute)
		}, diagnosis.GatewaySilent},
		{"no handshake, and the gateway hears the laptop", func(f *diagnosis.Facts) { silence(f); f.Session.ReceivedBytes = 740 }, diagnosis.OneWay},
		{"no handshake, and the clock is off", func(f *diagnosis.Facts) { silence(f); f.Session.Reported.Clock = f.Now.Add(-time.Hour) }, diagnosis.ClockWrong},
		{"the clock is off", func(f *diagnosis.Facts) { f.Session.Reported.Clock = f.Now.Add(time.Hour) }, diagnosis.ClockWrong},
		{"asleep", func(f *diagnosis.Facts) { silence(f); f.Session.RenewedAt = f.Now.Add(-10 * time.Minute) }, diagnosis.LaptopSilent},
		{"the server does not hear the laptop, the tunnel stands", func(f *diagnosis.Facts) { f.Session.RenewedAt = f.Now.Add(-10 * time.Minute) }, diagnosis.ServerAway},
		{"nothing comes back from inside", func(f *diagnosis.Facts) { f.Session.SentBytes, f.Session.Reported.ReceivedBytes = 900, 900 }, diagnosis.InsideSilent},
		{"the gateway lags", func(f *diagnosis.Facts) { silence(f); f.Gateways[0].Revision = 6 }, diagnosis.GatewayBehind},
		{"the gateway is gone", func(f *diagnosis.Facts) { silence(f); f.Gateways[0].Reachable = false }, diagnosis.GatewayAway},
		{"the gateway is cut off, the tunnel stands", func(f *diagnosis.Facts) { f.Gateways[0].Reachable = false }, diagnosis.GatewayAway},
		{"all seats are taken, one of them by her", func(f *diagnosis.Facts) { f.Pools[0].Held = 10 }, diagnosis.Connected},
		{"a wrong password before the session", refusal(provisioner.CodeSignInFailed, "wrong-password", "", 2*time.Hour), diagnosis.Connected},
		{"a wrong password just now, at another laptop", refusal(provisioner.CodeSignInFailed, "wrong-password", "", time.Minute), diagnosis.WrongPassword},
		{"held by the brake", func(f *diagnosis.Facts) { f.Standing.Held, f.Standing.Ended = true, provisioner.WhyDeleted }, diagnosis.BrakeHolding},
		{"held by the brake, and nothing arrives", func(f *diagnosis.Facts) {
			f.Standing.Held, f.Standing.Groups = true, nil
			silence(f)
		}, diagnosis.GatewaySilent},
		{"opened again and again", func(f *diagnosis.Facts) {
			for i := range 4 {
				f.Closed = append(f.Closed, provisioner.Session{ClosedWhy: provisioner.CodeSessionElsewhere, ClosedAt: f.Now.Add(-time.Duration(i) * time.Minute)})
			}
		}, diagnosis.Reopening},
	} {
		f := well()
		c.inject(&f)
		if got := diagnosis.Judge(f).Cause.Code; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func silence(f *diagnosis.Facts) {
	s := f.Session
	s.LastHandshake, s.Reported.LastHandshake = time.Time{}, time.Time{}
	s.ReceivedBytes, s.SentBytes, s.Reported.SentBytes, s.Reported.ReceivedBytes = 0, 0, 0, 0
}

// What succeeded since, or lies a day back, is not held against anybody.
func TestOldRefusals(t *testing.T) {
	f := off()
	refusal(provisioner.CodeSignInFailed, "wrong-password", "", 25*time.Hour)(&f)
	if got := diagnosis.Judge(f).Cause.Code; got != diagnosis.LaptopOff {
		t.Errorf("of yesterday: %s", got)
	}
	f = off()
	f.Device.EnrolledAt = f.Now.Add(-time.Minute)
	refusal(provisioner.CodeSignInFailed, "wrong-password", "", 2*time.Minute)(&f)
	refusal("of-tomorrow", "", theirs, time.Second)(&f)
	if got := diagnosis.Judge(f).Cause.Code; got != diagnosis.LaptopOff {
		t.Errorf("before the enrolment, and of another laptop: %s", got)
	}
}

// Versions that are no releases are never too old.
func TestTooOld(t *testing.T) {
	for _, c := range []struct {
		agent, server string
		want          bool
	}{
		{"v1.4.0", "v1.6.9", false}, {"v1.4.0", "v1.7.0", true}, {"v1.9.0", "v2.0.0", true}, {"v2.0.0", "v1.9.0", false},
		{"test", "v2.0.0", false}, {"v1.0.0", "(devel)", false}, {"v1", "v9.9.9", false}, {"", "", false},
	} {
		if got := diagnosis.TooOld(c.agent, c.server); got != c.want {
			t.Errorf("%q against %q: %v", c.agent, c.server, got)
		}
	}
}

// Whatever is the case, there is one cause with words in both languages, a next
// step and somebody who can do it, and the chain always has the same links.
func TestEverySituationHasOneCause(t *testing.T) {
	links := names(diagnosis.Judge(well()))
	rapid.Check(t, func(t *rapid.T) {
		f := well()
		all := faults()
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(all)-1), 0, 6).Draw(t, "faults") {
			if f.Device != nil && f.Standing != nil && len(f.Pools) > 0 && len(f.Gateways) > 0 {
				all[i].inject(&f)
			}
		}
		situation(t, &f)
		finding := diagnosis.Judge(f)
		if got := names(finding); !slices.Equal(got, links) {
			t.Fatalf("links %v", got)
		}
		c := finding.Cause
		for _, text := range []provisioner.Text{c.German, c.English} {
			if text.Sentence == "" || text.Next == "" || strings.ContainsAny(text.Sentence+text.Next, "{}") {
				t.Fatalf("%s has no words, or gaps: %+v", c.Code, text)
			}
		}
		if c.Code == "" || !slices.Contains(everybody(), c.Who) {
			t.Fatalf("%+v", c)
		}
		blamed := slices.ContainsFunc(finding.Links, func(l diagnosis.Link) bool {
			return (l.State == diagnosis.Wrong || l.State == diagnosis.Noted) && l.Cause.Code == c.Code
		})
		fine := slices.Contains([]provisioner.Code{diagnosis.Connected, diagnosis.Connecting, diagnosis.LaptopOff}, c.Code)
		if blamed == fine {
			t.Fatalf("the cause %s is not that of a link, or all is well and one is to blame", c.Code)
		}
		for _, l := range finding.Links {
			if german, _ := l.Shown("de"); german == "" {
				t.Fatalf("%s has no title", l.Name)
			}
		}
	})
}

func names(f diagnosis.Finding) (list []string) {
	for _, l := range f.Links {
		list = append(list, l.Name)
	}
	return list
}

// situation draws the rest: what is there at all, and how old it is.
func situation(t *rapid.T, f *diagnosis.Facts) {
	age := func(of string) time.Time {
		if rapid.Bool().Draw(t, of+" unknown") {
			return time.Time{}
		}
		return f.Now.Add(-time.Duration(rapid.Int64Range(-3600, 200_000).Draw(t, of)) * time.Second)
	}
	if rapid.Bool().Draw(t, "never heard of") {
		f.Standing = nil
	}
	if rapid.Bool().Draw(t, "no session") {
		f.Session = nil
	} else {
		s := f.Session
		s.OpenedAt, s.RenewedAt, s.ObservedAt, s.LastHandshake = age("opened"), age("renewed"), age("observed"), age("handshake")
		s.Reported.LastHandshake, s.Reported.Clock = age("reported"), age("clock")
		s.ReceivedBytes, s.SentBytes = rapid.Uint64().Draw(t, "received"), rapid.Uint64().Draw(t, "sent")
	}
	f.Directory.Live, f.Directory.HeardAt, f.OfDevice = rapid.Bool().Draw(t, "live"), age("heard"), rapid.Bool().Draw(t, "of device")
	if f.Standing != nil {
		f.Standing.Held = rapid.Bool().Draw(t, "held")
	}
	for i := range f.Gateways {
		f.Gateways[i].ContactAt, f.Gateways[i].Revision = age("contact"), rapid.Int64Range(0, 20).Draw(t, "revision")
	}
	all := provisioner.Catalogue()
	code := all[rapid.IntRange(0, len(all)-1).Draw(t, "code")].Code
	if rapid.Bool().Draw(t, "refused") {
		f.Refusals = append(f.Refusals, diagnosis.Refusal{At: age("refusal"), Code: code, Device: rapid.SampledFrom([]string{"", "device-a", theirs}).Draw(t, "whom")})
	}
	if rapid.Bool().Draw(t, "closed") {
		f.Closed = append(f.Closed, provisioner.Session{OpenedAt: age("former"), ClosedAt: age("closing"), ClosedWhy: code})
	}
}

// What is shown is figures, not only judgements.
func TestFigures(t *testing.T) {
	got := map[string]string{}
	for _, l := range diagnosis.Judge(well()).Links {
		title, figure := l.Shown("en")
		got[l.Name] = fmt.Sprintf("%s: %s", title, figure)
	}
	for name, want := range map[string]string{
		"handshake": "handshake: last 14 s ago", "traffic": "traffic: 4.0 MB up, 9.0 MB down", "certificate": "certificate: valid until 2027-03-21",
		"gateway": "gateway: gw1, 40/100 taken", "directory": "directory: followed: ad, last heard 1 s ago",
	} {
		if got[name] != want {
			t.Errorf("%q, want %q", got[name], want)
		}
	}
}

// How old a password is, good or expired, where the directory tells.
func TestTheAgeOfAPassword(t *testing.T) {
	f := well()
	f.Standing.PasswordChangedAt = f.Now.Add(-90 * 24 * time.Hour)
	at := slices.Index(names(diagnosis.Judge(f)), "password")
	if _, figure := diagnosis.Judge(f).Links[at].Shown("de"); figure != "gilt, soweit das Verzeichnis es sagt, gesetzt vor 90 Tagen" {
		t.Errorf("good: %q", figure)
	}
	f.Standing.PasswordEndsAt = f.Now.Add(-24 * time.Hour)
	if _, figure := diagnosis.Judge(f).Links[at].Shown("en"); figure != "expired on 2027-02-28, set 90 days ago" {
		t.Errorf("expired: %q", figure)
	}
}

// Agreed days and times, and devices without an agent.
func TestAccessThatIsLimited(t *testing.T) {
	phone := func(f *diagnosis.Facts) {
		f.Device.StaticUntil, f.Device.CertificateNotAfter, f.Device.AgentVersion = f.Now.Add(time.Hour), time.Time{}, ""
		f.Session.RenewedAt, f.Session.Reported = f.Session.OpenedAt, provisioner.Usage{}
	}
	for name, c := range map[string]struct {
		change func(*diagnosis.Facts)
		code   provisioner.Code
		who    provisioner.Who
	}{
		"external, the day is over": {func(f *diagnosis.Facts) { f.Session, f.Standing.ExternalUntil = nil, f.Now.Add(-time.Minute) }, provisioner.CodeExternalEnded, provisioner.WhoHelpdesk},
		"external, and suspended for it": {func(f *diagnosis.Facts) {
			f.Session, f.Device.SuspendedBy = nil, []provisioner.Suspension{{Source: provisioner.SuspendedByEndDate, Since: f.Now}}
		}, provisioner.CodeExternalEnded, provisioner.WhoHelpdesk},
		"outside the hours": {func(f *diagnosis.Facts) {
			f.Session = nil
			f.Tenant.Policy.Access = []provisioner.AccessTime{{Group: provisioner.GroupAll, Days: 1 << time.Sunday, Begin: 60, End: 120}}
		}, provisioner.CodeOutsideHours, provisioner.WhoNobody},
		"her access rests": {func(f *diagnosis.Facts) {
			f.Session, f.Device = nil, nil
			refusal(provisioner.CodePersonSuspended, "", "", time.Minute)(f)
		}, provisioner.CodePersonSuspended, provisioner.WhoHelpdesk},
		"her tenant's access rests": {func(f *diagnosis.Facts) {
			f.Session, f.Device, f.TenantRests = nil, nil, &provisioner.Suspension{Reason: "Einbruch", Since: f.Now, EndsAt: f.Now.Add(time.Hour)}
			refusal(provisioner.CodeTenantSuspended, "", "", time.Minute)(f)
		}, diagnosis.TenantSuspended, provisioner.WhoHelpdesk},
		"her tenant's access rested": {func(f *diagnosis.Facts) {
			f.Session, f.Device = nil, nil
			refusal(provisioner.CodeTenantSuspended, "", "", time.Minute)(f)
		}, diagnosis.NoDevice, provisioner.WhoEmployee},
		"a phone that is there": {phone, diagnosis.Connected, provisioner.WhoNobody},
		"a phone that is off":   {func(f *diagnosis.Facts) { phone(f); f.Session.LastHandshake = f.Now.Add(-time.Hour) }, diagnosis.StaticOff, provisioner.WhoEmployee},
	} {
		f := well()
		c.change(&f)
		cause := diagnosis.Judge(f).Cause
		text := cause.Text("de")
		if cause.Code != c.code || cause.Who != c.who || strings.ContainsAny(text.Sentence+text.Next, "{}") {
			t.Errorf("%s: %s for %s: %s %s", name, cause.Code, cause.Who, text.Sentence, text.Next)
		}
	}
}

// How far a clock is off is told in seconds, also where it does not matter.
func TestTheClockInSeconds(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		400 * time.Millisecond: "right to the second", 3 * time.Second: "3 s fast", -90 * time.Second: "90 s slow", -time.Hour: "3600 s slow",
	} {
		f := well()
		f.Session.Reported.Clock = f.Session.RenewedAt.Add(ahead)
		i := slices.Index(names(diagnosis.Judge(f)), "clock")
		if _, figure := diagnosis.Judge(f).Links[i].Shown("en"); figure != want {
			t.Errorf("%v: %q, want %q", ahead, figure, want)
		}
	}
}

// She is told the same code as the helpdesk, and neither numbers of others, nor what
// the helpdesk has written down, nor why a sign-in failed.
func TestWhatSheIsNotToldHerself(t *testing.T) {
	all := faults()
	for i, fault := range all {
		f := off()
		f.Own = true
		fault.inject(&f)
		if f.Device != nil && len(f.Device.SuspendedBy) > 0 {
			f.Device.SuspendedBy[len(f.Device.SuspendedBy)-1].Reason = "Verdacht"
		}
		finding, want := diagnosis.Judge(f), all[i].code
		if want == diagnosis.WrongPassword || want == diagnosis.LockedByTries {
			want = provisioner.CodeSignInFailed
		}
		if finding.Cause.Code != want {
			t.Errorf("%s: %s, want %s", fault.name, finding.Cause.Code, want)
		}
		said := fmt.Sprintf("%+v", finding)
		for _, secret := range []string{"Verdacht", "/100", "wrong-password", "locked-by-tries"} {
			if strings.Contains(said, secret) {
				t.Errorf("%s: she is told %q: %s", fault.name, secret, said)
			}
		}
	}
	f := well()
	f.Own = true
	if said := fmt.Sprintf("%+v", diagnosis.Judge(f)); strings.Contains(said, "/100") {
		t.Errorf("connected, she is told how many others are: %s", said)
	}
}
