package enrolment_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// invites invites one person with one laptop.
func (w *world) invites(t testing.TB, login, serial string) enrolment.Invited {
	t.Helper()
	list, err := w.Invite(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.InviteRequest{
		Lines: []enrolment.InviteLine{{Login: login, SerialNumber: serial}}, AnyLaptop: serial == "",
	})
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Refusal != nil {
		t.Fatal(list[0].Refusal)
	}
	return list[0]
}

// invited is a good request with an invitation.
func invited(t testing.TB, token, serial string) enrolment.InvitedRequest {
	t.Helper()
	return enrolment.InvitedRequest{Laptop: request(t, "", "", serial).Laptop, Invitation: signin.Password(token)}
}

func (w *world) refusals(t testing.TB, login string) []store.RecentRefusal {
	t.Helper()
	return read(t, w, func(tx *store.Reader) ([]store.RecentRefusal, error) {
		p, err := tx.PersonTyped("stadt", login)
		if err != nil {
			return nil, err
		}
		return tx.RefusalsOf(p, "stadt", 10)
	})
}

func TestInvitationEnrolsOneLaptopOnce(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "EVA@stadt.example", " 5cg-1 ")
	if v.Login != "eva" || v.SerialNumber != "5CG-1" || v.Tenant != "stadt" || len(v.Token) < 50 || v.ExpiresAt.Sub(v.CreatedAt) != 14*24*time.Hour {
		t.Errorf("invited as %+v", v)
	}
	r := invited(t, v.Token, "5cg-1")
	e, err := w.EnrolInvited(t.Context(), anybody(), r)
	if err != nil {
		t.Fatal(err)
	}
	d := w.device(t, e.Device.ID)
	if d.Person != v.Person || d.Tenant != "stadt" || d.SerialNumber != "5CG-1" || e.PersonName != "eva" || e.Replaced {
		t.Errorf("enrolled %+v", e)
	}
	if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, v.Token, "5cg-1")); codeOf(err) != provisioner.CodeInvitationOver || !strings.Contains(err.Error(), "used already") {
		t.Errorf("used twice: %v", err)
	}
	if list := w.refusals(t, "eva"); len(list) != 1 || list[0].Code != provisioner.CodeInvitationOver || list[0].Cause != "invitation-used" {
		t.Errorf("the helpdesk sees %+v", list)
	}
	log := strings.Join(w.events(t), "\n")
	for _, want := range []string{`"action":"invite"`, `"way":"invitation"`, `"invitation":"` + v.ID + `"`, `"result":"invitation-over"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, v.Token) {
		t.Error("the audit log has the token")
	}
	// With the next one it is the same laptop.
	again, err := w.EnrolInvited(t.Context(), anybody(), invited(t, w.invites(t, "eva", "5CG-1").Token, "5CG-1"))
	if err != nil || !again.Replaced || again.Device.ID != e.Device.ID {
		t.Errorf("enrolled again as %+v, %v", again, err)
	}
}

// What keeps an invitation from counting, and what the helpdesk sees of it. None
// leaves a device behind.
func TestInvitationRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(testing.TB, *world, *enrolment.Invited)
		serial string
		want   provisioner.Code
		cause  string
	}{
		{"another laptop", nil, "S2", provisioner.CodeInvitationLaptop, "invitation-other-serial-number: S1 ≠ S2"},
		{"a laptop without a serial number", nil, "Default string", provisioner.CodeInvitationLaptop, "invitation-no-serial-number: S1"},
		{"withdrawn", func(t testing.TB, w *world, v *enrolment.Invited) {
			if _, err := w.WithdrawInvitation(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), v.ID); err != nil {
				t.Fatal(err)
			}
		}, "S1", provisioner.CodeInvitationOver, "invitation-withdrawn"},
		{"replaced", func(t testing.TB, w *world, _ *enrolment.Invited) { w.invites(t, "eva", "S1") }, "S1", provisioner.CodeInvitationOver, "invitation-replaced"},
		{"expired", func(t testing.TB, w *world, v *enrolment.Invited) {
			v.Token, v.ID, v.ExpiresAt = "late", provisioner.NewID(), time.Now().Add(-time.Second)
			update(t, w.store, func(tx *store.Writer) error { return tx.AddInvitation("late", v.Invitation) })
		}, "S1", provisioner.CodeInvitationOver, "invitation-expired"},
		{"out of the group", func(t testing.TB, w *world, _ *enrolment.Invited) {
			if err := w.directory.Leave(staff, "uid=eva,"+people); err != nil {
				t.Fatal(err)
			}
		}, "S1", provisioner.CodeNotInGroup, ""},
		{"deleted", func(t testing.TB, w *world, _ *enrolment.Invited) {
			if err := w.directory.Delete("uid=eva," + people); err != nil {
				t.Fatal(err)
			}
		}, "S1", provisioner.CodeAccessEnded, ""},
		{"the directory is silent", func(_ testing.TB, w *world, _ *enrolment.Invited) { w.directory.SetUnavailable(true) }, "S1", provisioner.CodeDirectoryUnavailable, ""},
		{"too many laptops", func(t testing.TB, w *world, _ *enrolment.Invited) {
			w.enrols(t, "stadt", "eva", "A")
			w.enrols(t, "stadt", "eva", "B")
		}, "S1", provisioner.CodeDeviceLimit, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			v := w.invites(t, "eva", "S1")
			if c.before != nil {
				c.before(t, w, &v)
			}
			before := len(read(t, w, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.DevicesOf(v.Person, "stadt") }))
			if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, v.Token, c.serial)); codeOf(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if after := len(read(t, w, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.DevicesOf(v.Person, "stadt") })); after != before {
				t.Errorf("%d devices were left behind", after-before)
			}
			list := w.refusals(t, "eva")
			if len(list) != 1 || list[0].Code != c.want || c.cause != "" && list[0].Cause != c.cause {
				t.Errorf("the helpdesk sees %+v, want %s", list, c.cause)
			}
			if now := read(t, w, func(tx *store.Reader) (provisioner.Invitation, error) { return tx.Invitation(v.Token) }); now.Ended == provisioner.InvitationUsed {
				t.Error("it is used up")
			}
		})
	}
}

// Guessing ends after as many tries as with passwords, also for who has a right one.
func TestInvitationsAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "eva", "S1")
	var wg sync.WaitGroup
	for n := range 30 {
		r := invited(t, fmt.Sprint("guess", n), "S1")
		wg.Go(func() {
			if _, err := w.EnrolInvited(t.Context(), anybody(), r); codeOf(err) != provisioner.CodeInvitationUnknown {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	patient := func(source string) provisioner.Code {
		actor := anybody()
		actor.Source = source
		_, err := w.EnrolInvited(t.Context(), actor, invited(t, v.Token, "S1"))
		return codeOf(err)
	}
	if got := patient(anybody().Source); got != provisioner.CodeInvitationUnknown {
		t.Errorf("after 30 guesses a right one is answered %q", got)
	}
	if got := patient("192.0.2.77"); got != "" {
		t.Errorf("from elsewhere it is refused: %s", got)
	}
}

func TestInvite(t *testing.T) {
	w := newWorld(t)
	desk := as(provisioner.RoleHelpdesk, "stadt")
	list, err := w.Invite(t.Context(), desk, enrolment.InviteRequest{Lines: []enrolment.InviteLine{
		{Login: "eva", SerialNumber: "S1", DeviceName: "Evas\x1b[2J Laptop"},
		{Login: "niemand", SerialNumber: "S2"},
		{Login: "max", SerialNumber: "S3"},
		{Login: "emil"},
		{Login: "emil", SerialNumber: "To be filled by O.E.M."},
		{Login: "emil", SerialNumber: strings.Repeat("7", 1<<20)},
		{Login: "eva@stadt.example", SerialNumber: "s1"},
		{Login: "", SerialNumber: "S4"},
		{Login: strings.Repeat("x", 1<<20), SerialNumber: "S5"},
		{Login: "emil", SerialNumber: "S6"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []provisioner.Code{
		"", provisioner.CodeLoginUnknown, provisioner.CodeNotInGroup, provisioner.CodeInvalid, provisioner.CodeInvalid, provisioner.CodeInvalid,
		provisioner.CodeInvalid, provisioner.CodeLoginUnknown, provisioner.CodeLoginUnknown, "",
	}
	for i, v := range list {
		code := provisioner.Code("")
		if v.Refusal != nil {
			code = v.Refusal.Code
		}
		if code != want[i] || (v.Token == "") != (code != "") {
			t.Errorf("line %d: %v, want %q", i, v.Refusal, want[i])
		}
	}
	if list[0].DeviceName != "Evas [2J Laptop" {
		t.Errorf("called %q", list[0].DeviceName)
	}
	open, _, err := w.Invitations(t.Context(), desk, enrolment.InvitationsRequest{})
	if err != nil || len(open) != 2 {
		t.Errorf("open are %+v, %v", open, err)
	}
	for name, c := range map[string]struct {
		actor   provisioner.Actor
		request enrolment.InviteRequest
		want    provisioner.Code
	}{
		"staff":              {as(provisioner.RoleStaff, "stadt"), enrolment.InviteRequest{}, provisioner.CodeNotAllowed},
		"another tenant":     {desk, enrolment.InviteRequest{Tenant: "dorf"}, provisioner.CodeNotFound},
		"a tenant of nobody": {desk, enrolment.InviteRequest{Tenant: "nirgends"}, provisioner.CodeNotFound},
		"no tenant":          {as(provisioner.RoleOperator, ""), enrolment.InviteRequest{}, provisioner.CodeInvalid},
		"too long":           {desk, enrolment.InviteRequest{Life: 91 * 24 * time.Hour}, provisioner.CodeInvalid},
		"too short":          {desk, enrolment.InviteRequest{Life: time.Minute}, provisioner.CodeInvalid},
		"negative":           {desk, enrolment.InviteRequest{Life: -time.Hour}, provisioner.CodeInvalid},
		"too many":           {desk, enrolment.InviteRequest{Lines: make([]enrolment.InviteLine, 201)}, provisioner.CodeTooLarge},
	} {
		if _, err := w.Invite(t.Context(), c.actor, c.request); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	w.directory.SetUnavailable(true)
	if _, err := w.Invite(t.Context(), desk, enrolment.InviteRequest{Lines: []enrolment.InviteLine{{Login: "eva", SerialNumber: "S9"}}}); codeOf(err) != provisioner.CodeDirectoryUnavailable {
		t.Errorf("while the directory is silent: %v", err)
	}
}

// Who is deleted and made anew with the same login is somebody else: her
// invitation does not count.
func TestInvitationIsForThePersonNotTheLogin(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "eva", "S1")
	if err := w.directory.Delete("uid=eva," + people); err != nil {
		t.Fatal(err)
	}
	if err := w.directory.Add(fmt.Appendf(nil, "dn: uid=eva,%s\nobjectClass: inetOrgPerson\nuid: eva\ncn: eva\nsn: eva\nuserPassword: %s\n", people, password)); err != nil {
		t.Fatal(err)
	}
	if err := w.directory.Join(staff, "uid=eva,"+people); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, v.Token, "S1")); codeOf(err) != provisioner.CodeAccessEnded {
		t.Errorf("got %v", err)
	}
	if next := w.invites(t, "eva", "S1"); next.Person == v.Person {
		t.Error("the new one is taken for the former")
	}
}

func TestWithdrawInvitation(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "eva", "S1")
	for _, actor := range []provisioner.Actor{as(provisioner.RoleHelpdesk, "dorf"), as(provisioner.RoleStaff, "stadt")} {
		if _, err := w.WithdrawInvitation(t.Context(), actor, v.ID); codeOf(err) != provisioner.CodeNotFound && codeOf(err) != provisioner.CodeNotAllowed {
			t.Errorf("%s: %v", actor.Name, err)
		}
	}
	desk := as(provisioner.RoleHelpdesk, "stadt")
	if got, err := w.WithdrawInvitation(t.Context(), desk, " "+strings.ToUpper(v.ID)); err != nil || got.Ended != provisioner.InvitationWithdrawn || got.Login != "eva" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.WithdrawInvitation(t.Context(), desk, v.ID); codeOf(err) != provisioner.CodeInvitationOver {
		t.Errorf("twice: %v", err)
	}
	if all, _, err := w.Invitations(t.Context(), desk, enrolment.InvitationsRequest{All: true}); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, _, err := w.Invitations(t.Context(), as(provisioner.RoleHelpdesk, "dorf"), enrolment.InvitationsRequest{All: true}); err != nil || len(all) != 0 {
		t.Errorf("another tenant sees %+v, %v", all, err)
	}
}

// Of two laptops that show one invitation at once, one is enrolled.
func TestInvitationCountsOnce(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "eva", "")
	var wg sync.WaitGroup
	codes := make([]provisioner.Code, 8)
	for i := range codes {
		r := invited(t, v.Token, fmt.Sprint("S", i))
		wg.Go(func() {
			_, err := w.EnrolInvited(t.Context(), anybody(), r)
			codes[i] = codeOf(err)
		})
	}
	wg.Wait()
	enrolled := 0
	for _, c := range codes {
		switch c {
		case "":
			enrolled++
		case provisioner.CodeInvitationOver:
		default:
			t.Errorf("got %s", c)
		}
	}
	if enrolled != 1 {
		t.Errorf("%d laptops were enrolled", enrolled)
	}
}
