package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What a restore does to the database, on every engine.
func TestARestoredDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		opened(t, s, 5)
		update(t, s, func(tx *store.Writer) error {
			d, err := laptop(tx, 6001)
			return errors.Join(
				err,
				tx.AddInvitation("invited", provisioner.Invitation{ID: "i", Tenant: d.Tenant, Person: d.Person, ExpiresAt: tx.Now.Add(time.Hour)}),
				tx.AddStaffToken("signed in", store.StaffToken{Name: "Hilde", ExpiresAt: tx.Now.Add(time.Hour)}),
				tx.AddOneTimeToken("not used", store.TokenGateway, "gw1", tx.Now.Add(time.Hour)),
			)
		})
		var before store.Position
		update(t, s, func(tx *store.Writer) (err error) {
			if before, err = tx.Position(); err != nil {
				return err
			}
			if used, err := tx.KeyVersionOpen(0); err != nil || !used {
				t.Errorf("open sessions use the key: %t, %v", used, err)
			}
			if err := tx.DrawEpoch(); err != nil {
				return err
			}
			if err := tx.KnowEpoch("other", 7); err != nil {
				return err
			}
			if err := tx.KnowEpoch("other", 5); err != nil { // never backwards
				return err
			}
			n, err := tx.CloseEverySession(provisioner.CodeSessionExpired)
			if err != nil || n != 5 {
				t.Errorf("%d sessions were closed, %v", n, err)
			}
			if err := tx.ContactsUnknown(); err != nil {
				return err
			}
			return tx.ForgetSignIns()
		})
		// Who signed out after the backup, and which token was used then, nobody knows.
		if _, err := store.Read(t.Context(), s, func(tx *store.Reader) (store.StaffToken, error) { return tx.StaffToken("signed in") }); !errors.Is(err, store.ErrNone) {
			t.Errorf("somebody is still signed in: %v", err)
		}
		if err := s.Update(t.Context(), func(tx *store.Writer) error {
			_, err := tx.UseOneTimeToken("not used", store.TokenGateway)
			return err
		}); !errors.Is(err, provisioner.Refuse(provisioner.CodeTokenInvalid)) {
			t.Errorf("a one-time token from before: %v", err)
		}
		if i := view(t, s, func(tx *store.Reader) (provisioner.Invitation, error) { return tx.Invitation("invited") }); i.Over(time.Now()) != provisioner.InvitationWithdrawn {
			t.Errorf("an invitation from before: %+v", i)
		}
		after := view(t, s, (*store.Reader).Position)
		if after.Epoch == before.Epoch || after.Revision != before.Revision+5 || after.Instance != before.Instance {
			t.Errorf("stands at %+v, before at %+v", after, before)
		}
		want := map[string]int64{after.Epoch: after.Revision, before.Epoch: before.Revision, "other": 7}
		if diff := cmp.Diff(want, view(t, s, (*store.Reader).KnownEpochs)); diff != "" {
			t.Error(diff)
		}
		if used := view(t, s, func(tx *store.Reader) (bool, error) { return tx.KeyVersionOpen(0) }); used {
			t.Error("a closed session uses a key")
		}
		for since, want := range map[time.Duration]bool{-time.Minute: true, time.Minute: false} {
			if got := view(t, s, func(tx *store.Reader) (bool, error) { return tx.LatelyRestored(time.Now().Add(since)) }); got != want {
				t.Errorf("restored since %v: %t", since, got)
			}
		}
	})
}

// Keys go through their stages, and a retired one loses its secret.
func TestKeyStages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		update(t, s, func(tx *store.Writer) error {
			if err := tx.AddKey(store.SealedKey{Purpose: "ca", Version: 1, Sealed: []byte("s1"), Public: []byte("p1")}); err != nil {
				return err
			}
			return tx.AddKey(store.SealedKey{Purpose: "ca", Version: 2, Sealed: []byte("s2"), Public: []byte("p2"), Bridge: []byte("b2"), Stage: store.KeyNext})
		})
		update(t, s, func(tx *store.Writer) error { return tx.StageKey("ca", 2, store.KeyUsed) })
		update(t, s, func(tx *store.Writer) error { return tx.StageKey("ca", 1, store.KeyRetired) })
		update(t, s, func(tx *store.Writer) error { return tx.ResealKey("ca", 2, []byte("anew")) })
		list := view(t, s, (*store.Reader).AllKeys)
		if len(list) != 2 {
			t.Fatalf("%d keys", len(list))
		}
		newest, oldest := list[0], list[1]
		if newest.Version != 2 || newest.Stage != store.KeyUsed || newest.StageAt.IsZero() || string(newest.Sealed) != "anew" || string(newest.Bridge) != "b2" {
			t.Errorf("the newest is %+v", newest)
		}
		if oldest.Stage != store.KeyRetired || oldest.Sealed != nil || string(oldest.Public) != "p1" {
			t.Errorf("the oldest is %+v", oldest)
		}
		now := time.Now()
		update(t, s, func(tx *store.Writer) error {
			for n, end := range []time.Duration{time.Hour, 3 * time.Hour, -time.Hour} {
				d, err := laptop(tx, 100+n)
				if err != nil {
					return err
				}
				if err := tx.NoteCertificate(d.ID, now.Add(end)); err != nil {
					return err
				}
			}
			return tx.NoteGatewayCertificate("gw1", now.Add(90*time.Minute))
		})
		c := view(t, s, func(tx *store.Reader) (store.Certificates, error) {
			return tx.CertificatesBefore(now, now.Add(2*time.Hour))
		})
		if c.Devices != 1 || len(c.Gateways) != 1 || c.Last.Sub(now).Round(time.Minute) != 90*time.Minute {
			t.Errorf("certificates %+v", c)
		}
		update(t, s, func(tx *store.Writer) error { return tx.DropKey("ca", 1) })
		if n := len(view(t, s, func(tx *store.Reader) ([]store.SealedKey, error) { return tx.Keys("ca") })); n != 1 {
			t.Errorf("%d keys are left", n)
		}
	})
}
