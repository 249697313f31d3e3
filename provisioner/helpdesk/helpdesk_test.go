package helpdesk_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestFindPeople(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	w.person(t, "stadt", "emil", "Emil Maier")
	w.person(t, "dorf", "vera", "Vera Müller")
	w.connects(t, "stadt/eva", "vpn")
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	for query, want := range map[string][]string{
		"mueller": {"Eva Müller"}, "MÜLLER": {"Eva Müller"}, "eva mül": {"Eva Müller"}, "stadt.example": {"Emil Maier", "Eva Müller"},
		"laptop-emil": {"Emil Maier"}, w.devices["stadt/emil"].SerialNumber: {"Emil Maier"}, w.devices["stadt/eva"].ID[:8]: {"Eva Müller"},
		"vera": nil, w.devices["dorf/vera"].ID: nil, w.persons["dorf/vera"].ID: nil, "%": nil, "": nil, "_": nil,
	} {
		found, more, err := w.FindPeople(t.Context(), hilde, query, 0)
		if err != nil || more {
			t.Errorf("%q: %v, more %v", query, err, more)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.Person.DisplayName)
			if f.Connected != (f.Person.Login == "eva") || f.Devices != 1 {
				t.Errorf("%q: %+v", query, f)
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	found, more, err := w.FindPeople(t.Context(), hilde, "stadt.example", 1)
	if err != nil || len(found) != 1 || !more {
		t.Errorf("limited: %d found, more %v, %v", len(found), more, err)
	}
	if _, _, err := w.FindPeople(t.Context(), hilde, strings.Repeat("x", 1<<20), 0); codeOf(err) != provisioner.CodeInvalid {
		t.Errorf("an endless query: %v", err)
	}
}

// Whatever scrap a helpdesk has of somebody of another tenant, it finds nobody,
// and its own people by the like of it.
func TestFindStaysWithinTheTenant(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller-Weiß")
	w.person(t, "dorf", "vera", "Vera Lang")
	w.connects(t, "stadt/eva", "vpn")
	d, p, open := w.devices["stadt/eva"], w.persons["stadt/eva"], w.open["stadt/eva"]
	v4, v6 := aggregate().Addresses(open.AddressIndex)
	for _, scrap := range []string{
		"eva", "Müller", "mueller", "muller", "weiss", "e m", "üll", p.Login, p.Mail, "@stadt.example", p.ID, p.ID[:6],
		d.ID, d.ID[:6], d.Name, "laptop", d.SerialNumber, strings.ToLower(d.SerialNumber), "sn-1 eva", d.PublicKey.String(), d.PublicKey.String()[:8], fmt.Sprintf("%x", d.PublicKey[:]),
		open.ID, open.ID[:6], v4.String(), v6.String(), v4.String() + "/32", v6.StringExpanded(),
	} {
		for tenant, want := range map[string]bool{"stadt": true, "dorf": false} {
			found, more, err := w.FindPeople(t.Context(), as(provisioner.RoleHelpdesk, tenant), scrap, 0)
			if err != nil || more {
				t.Errorf("%q: %v, more %v", scrap, err, more)
			}
			for _, f := range found {
				if f.Tenant != tenant {
					t.Errorf("%q tells %s of %+v", scrap, tenant, f)
				}
			}
			if want && (len(found) != 1 || found[0].MatchedBy == "") {
				t.Errorf("%q finds %+v", scrap, found)
			}
		}
	}
	if _, _, err := w.FindPeople(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), "a b c d e f g h i j k l m", 0); codeOf(err) != provisioner.CodeInvalid {
		t.Errorf("thirteen words: %v", err)
	}
}

func TestPersonShowsCauses(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	w.connects(t, "stadt/eva", "vpn")
	eva, device := w.persons["stadt/eva"], w.devices["stadt/eva"]
	w.update(t, func(tx *store.Writer) error {
		return tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Login: "eva", Code: provisioner.CodeSignInFailed, Cause: "wrong-password", Source: "192.0.2.1"})
	})
	for language, cause := range map[string]string{"en": "Wrong password", "de": "Falsches Passwort", "": "Falsches Passwort"} {
		hilde := as(provisioner.RoleHelpdesk, "stadt")
		hilde.Language = language
		p, err := w.Person(t.Context(), hilde, "", eva.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Refusals) != 1 || p.Refusals[0].Cause != cause || p.Refusals[0].Source != "192.0.2.1" {
			t.Errorf("refusals %+v", p.Refusals)
		}
		if len(p.Devices) != 1 || p.Devices[0].ID != device.ID || p.Devices[0].Session == nil || p.Devices[0].Session.ID != w.open["stadt/eva"].ID {
			t.Errorf("devices %+v", p.Devices)
		}
	}
	d, err := w.Device(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), strings.ToUpper(device.ID[:7]))
	if err != nil || d.ID != device.ID || d.PersonName != "Eva Müller" || len(d.Session.Addresses) != 2 || d.Session.Online {
		t.Errorf("device %+v, %v", d, err)
	}
}

func TestSessionsInPages(t *testing.T) {
	w := newWorld(t)
	w.connected(t, "stadt", "vpn", 7)
	w.connected(t, "dorf", "vpn", 2)
	for _, c := range []struct {
		actor provisioner.Actor
		r     helpdesk.SessionsRequest
		want  int
	}{
		{as(provisioner.RoleHelpdesk, "stadt"), helpdesk.SessionsRequest{}, 7},
		{as(provisioner.RoleHelpdesk, "stadt"), helpdesk.SessionsRequest{Limit: 3}, 7},
		{as(provisioner.RoleHelpdesk, "stadt"), helpdesk.SessionsRequest{Limit: 7}, 7},
		{as(provisioner.RoleHelpdesk, "stadt"), helpdesk.SessionsRequest{Gateway: "gw9"}, 0},
		{as(provisioner.RoleOperator, ""), helpdesk.SessionsRequest{Limit: 2}, 9},
		{as(provisioner.RoleOperator, ""), helpdesk.SessionsRequest{Tenant: "dorf", Gateway: "gw1"}, 2},
	} {
		seen := make(map[string]bool)
		for pages := 0; ; pages++ {
			list, next, err := w.Sessions(t.Context(), c.actor, c.r)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				if seen[s.ID] {
					t.Errorf("session %s twice", s.ID)
				}
				seen[s.ID] = true
				if s.PersonName == "" || s.DeviceName == "" || len(s.Addresses) != 2 {
					t.Errorf("session %+v", s)
				}
			}
			if next == "" {
				break
			}
			if c.r.After = next; pages > 20 {
				t.Fatal("no end")
			}
		}
		if len(seen) != c.want {
			t.Errorf("%+v: %d sessions, want %d", c.r, len(seen), c.want)
		}
	}
	if _, _, err := w.Sessions(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), helpdesk.SessionsRequest{Tenant: "dorf"}); codeOf(err) != provisioner.CodeNotAllowed {
		t.Errorf("the neighbour's sessions: %v", err)
	}
}

// Whoever asks for whatever of another tenant, by whatever id, is answered as
// if it did not exist, and nothing of it stands in the answer.
func TestForeignAndUnknownAreAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Geheim")
	w.connects(t, "stadt/eva", "vpn")
	w.person(t, "dorf", "vera", "Vera Müller")
	device, person := w.devices["stadt/eva"], w.persons["stadt/eva"]
	secrets := []string{"Geheim", device.ID, person.ID, device.SerialNumber, device.PublicKey.String(), w.open["stadt/eva"].ID, "eva@stadt"}
	ask := map[string]func(provisioner.Actor, string) (any, error){
		"find": func(a provisioner.Actor, id string) (any, error) {
			v, _, err := w.FindPeople(t.Context(), a, id, 0)
			return v, err
		},
		"person": func(a provisioner.Actor, id string) (any, error) { return w.Person(t.Context(), a, "", id) },
		"person in stadt": func(a provisioner.Actor, id string) (any, error) {
			return w.Person(t.Context(), a, "stadt", id)
		},
		"device": func(a provisioner.Actor, id string) (any, error) { return w.Device(t.Context(), a, id) },
		"sessions": func(a provisioner.Actor, _ string) (any, error) {
			v, _, err := w.Sessions(t.Context(), a, helpdesk.SessionsRequest{})
			return v, err
		},
		"sessions of a tenant": func(a provisioner.Actor, id string) (any, error) {
			v, _, err := w.Sessions(t.Context(), a, helpdesk.SessionsRequest{Tenant: map[bool]string{true: "stadt", false: "nirgends"}[id == device.ID || id == person.ID]})
			return v, err
		},
	}
	roles := []provisioner.Role{
		provisioner.RoleAnonymous, provisioner.RoleDevice, provisioner.RoleGateway, provisioner.RoleStaff, provisioner.RoleHelpdesk,
		provisioner.RolePlanner, provisioner.RoleTenantAdmin,
	}
	rapid.Check(t, func(rt *rapid.T) {
		var grants []provisioner.Grant
		for _, r := range rapid.SliceOfN(rapid.SampledFrom(roles), 1, 4).Draw(rt, "roles") {
			grants = append(grants, provisioner.Grant{Role: r, Tenant: "dorf"})
		}
		actor := provisioner.Actor{ID: "x", Grants: grants, Language: rapid.SampledFrom([]string{"de", "en"}).Draw(rt, "language")}
		foreign, unknown := rapid.SampledFrom([]string{device.ID, person.ID}).Draw(rt, "foreign"), provisioner.NewID()
		name := rapid.SampledFrom([]string{"find", "person", "person in stadt", "device", "sessions", "sessions of a tenant"}).Draw(rt, "question")
		a, errA := ask[name](actor, foreign)
		b, errB := ask[name](actor, unknown)
		textA := strings.ReplaceAll(fmt.Sprintf("%+v %v", a, errA), foreign, "X")
		textB := strings.ReplaceAll(fmt.Sprintf("%+v %v", b, errB), unknown, "X")
		if textA != textB {
			rt.Fatalf("%s tells them apart:\n%s\n%s", name, textA, textB)
		}
		for _, s := range secrets {
			if strings.Contains(textA, s) {
				rt.Fatalf("%s tells %s: %s", name, s, textA)
			}
		}
	})
}

func TestWhoMayLook(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	person, device := w.persons["stadt/eva"].ID, w.devices["stadt/eva"].ID
	for _, c := range []struct {
		actor provisioner.Actor
		look  provisioner.Code
	}{
		{provisioner.Actor{}, provisioner.CodeNotSignedIn},
		{as(provisioner.RoleDevice, "stadt"), provisioner.CodeNotAllowed},
		{as(provisioner.RoleGateway, ""), provisioner.CodeNotAllowed},
		{as(provisioner.RoleStaff, "stadt"), provisioner.CodeNotAllowed},
		{as(provisioner.RolePlanner, "stadt"), provisioner.CodeNotAllowed},
		{as(provisioner.RoleHelpdesk, "stadt"), ""},
		{as(provisioner.RoleTenantAdmin, "stadt"), ""},
		{as(provisioner.RoleOperator, ""), ""},
	} {
		_, _, find := w.FindPeople(t.Context(), c.actor, "eva", 0)
		_, show := w.Person(t.Context(), c.actor, "stadt", person)
		_, one := w.Device(t.Context(), c.actor, device)
		_, _, sessions := w.Sessions(t.Context(), c.actor, helpdesk.SessionsRequest{})
		for _, err := range []error{find, show, one, sessions} {
			if codeOf(err) != c.look {
				t.Errorf("%s looks: %v", c.actor.MainRole(), err)
			}
		}
	}
}
