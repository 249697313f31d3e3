package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Sessions that somebody has to look at come in pages, oldest first; those without an end,
// those that are put off and those that are closed do not.
func TestSessionsToLookComeInPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		const n, page = 10, 3
		var ids []string
		update(t, s, func(tx *store.Writer) error {
			for i := range n {
				d, err := laptop(tx, i)
				if err != nil {
					return err
				}
				v, err := session(tx, d)
				if err != nil {
					return err
				}
				due := tx.Now.Add(-time.Hour)
				if err := tx.SetEnding(v, provisioner.Ending{DueAt: due, EndsAt: due.Add(time.Minute), Why: provisioner.CodeSessionAged}); err != nil {
					return err
				}
				switch i {
				case 0:
					err = tx.SetEnding(v, provisioner.Ending{})
				case 1:
					err = tx.SetEnding(v, provisioner.Ending{DueAt: due, EndsAt: tx.Now.Add(time.Minute), Why: provisioner.CodeSessionAged})
				case 2:
					_, err = tx.CloseSessionOf(d.ID, provisioner.CodeSessionAged)
				default:
					ids = append(ids, v.ID)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		var seen []string
		for last := (provisioner.Session{}); ; {
			list := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
				return tx.SessionsToLook(time.Now(), last, page)
			})
			if len(list) == 0 {
				break
			}
			for _, v := range list {
				seen = append(seen, v.ID)
			}
			last = list[len(list)-1]
		}
		if slices.Sort(ids); !slices.Equal(seen, ids) {
			t.Errorf("came %q, want %q", seen, ids)
		}
	})
}

// The last sign-in is kept with the device, also for who reads it later in the same
// transaction, and is taken back with it.
func TestNoteSignIn(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) {
			d, err = laptop(tx, 1)
			return err
		})
		at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		update(t, s, func(tx *store.Writer) error {
			if err := tx.NoteSignIn(d.ID, at); err != nil {
				return err
			}
			now, err := tx.Device(d.ID)
			if !now.SignedInAt.Equal(at) {
				t.Errorf("in the transaction it is %v, want %v", now.SignedInAt, at)
			}
			return err
		})
		if now := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(d.ID) }); !now.SignedInAt.Equal(at) {
			t.Errorf("kept %v, want %v", now.SignedInAt, at)
		}
	})
}
