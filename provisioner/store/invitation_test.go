package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What is kept of invitations and acknowledgements, and for how long, on both
// databases.
func TestInvitationsAndAcknowledgementsAreForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var p provisioner.Person
		update(t, s, func(tx *store.Writer) (err error) {
			p, err = tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: "invited", Login: "eva"})
			return err
		})
		invite := func(token, serial string, expires time.Time) {
			update(t, s, func(tx *store.Writer) error {
				return tx.AddInvitation(token, provisioner.Invitation{
					ID: provisioner.NewID(), Tenant: "stadt", Person: p.ID, SerialNumber: serial, CreatedAt: tx.Now, ExpiresAt: expires,
				})
			})
		}
		now := time.Now()
		invite("former", "S1", now.Add(time.Hour))
		invite("next", "S1", now.Add(time.Hour))
		invite("other", "S2", now.Add(-time.Hour))
		ended := func(token string) (provisioner.InvitationEnd, error) {
			i, err := store.Read(t.Context(), s, func(tx *store.Reader) (provisioner.Invitation, error) { return tx.Invitation(token) })
			return i.Over(now), err
		}
		for token, want := range map[string]provisioner.InvitationEnd{
			"former": provisioner.InvitationReplaced, "next": "", "other": provisioner.InvitationExpired,
		} {
			if got, err := ended(token); got != want || err != nil {
				t.Errorf("%s is %q, %v; want %q", token, got, err, want)
			}
		}
		if open := view(t, s, func(tx *store.Reader) ([]store.InvitedPerson, error) {
			return tx.Invitations(provisioner.Within("stadt"), true, now, "", 10)
		}); len(open) != 1 || open[0].Login != "eva" {
			t.Errorf("open are %+v", open)
		}
		update(t, s, func(tx *store.Writer) error { return tx.ForgetInvitations(now) })
		if _, err := ended("other"); !errors.Is(err, store.ErrNone) {
			t.Errorf("one that is over long since: %v", err)
		}
		if _, err := ended("former"); err != nil {
			t.Errorf("one that would still be good: %v", err)
		}

		for i, version := range []string{"v1", "v2"} {
			update(t, s, func(tx *store.Writer) error {
				tx.Now = now.Add(time.Duration(i) * time.Minute)
				return tx.Acknowledge(p.ID, "stadt", version, "d")
			})
		}
		update(t, s, func(tx *store.Writer) error { return tx.ForgetAcknowledgements(now.Add(time.Hour)) })
		if version := view(t, s, func(tx *store.Reader) (string, error) {
			version, _, err := tx.Acknowledged(p.ID, "stadt")
			return version, err
		}); version != "v2" {
			t.Errorf("acknowledged last is %q", version)
		}
		// Who is known by another id had been invited under this one.
		update(t, s, func(tx *store.Writer) error { return tx.ForgetPerson(p.ID) })
		if _, err := ended("next"); !errors.Is(err, store.ErrNone) {
			t.Errorf("of somebody who is forgotten: %v", err)
		}
	})
}
