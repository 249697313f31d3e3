package store_test

import (
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Somebody whose password is right is slowed down by nothing.
func TestRefusalsOfOnePersonAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var p provisioner.Person
		update(t, s, func(tx *store.Writer) error {
			d, err := laptop(tx, 1)
			if err != nil {
				return err
			}
			if p, err = tx.Person(d.Person); err != nil {
				return err
			}
			for range 500 {
				if err := tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Person: p.ID, Code: provisioner.CodeNotInGroup}); err != nil {
					return err
				}
			}
			return tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Login: "another", Code: provisioner.CodeSignInFailed})
		})
		if kept := view(t, s, func(tx *store.Reader) ([]store.RecentRefusal, error) { return tx.RefusalsOf(p, "stadt", 1000) }); len(kept) < 10 || len(kept) > 100 {
			t.Errorf("%d refusals are kept", len(kept))
		}
		p.ID, p.Login = "nobody", "another"
		if kept := view(t, s, func(tx *store.Reader) ([]store.RecentRefusal, error) { return tx.RefusalsOf(p, "stadt", 1000) }); len(kept) != 1 {
			t.Errorf("of somebody else %d are kept", len(kept))
		}
	})
}
