package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Reports of lost laptops come in pages, the latest first and of the tenants in scope alone; one
// more of the same laptop mends the first; and they are deleted by their age.
func TestLostDevices(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		began := time.Now().Truncate(time.Millisecond)
		var devices []provisioner.Device
		report := func(tx *store.Writer, n int, reason string) (store.LostDevice, error) {
			return tx.PutLost(store.LostDevice{
				ID: fmt.Sprint("r", n), Tenant: "stadt", Device: devices[n].ID, Person: devices[n].Person, Reason: reason,
				ReportedAt: began.Add(time.Duration(n/2) * time.Hour), ReportedBy: devices[0].Person, Connected: store.ConnectedNo, // two at a time
			})
		}
		update(t, s, func(tx *store.Writer) error {
			for n := range 4 {
				d, err := laptop(tx, n)
				if err != nil {
					return err
				}
				devices = append(devices, d)
				if _, err := report(tx, n, "first"); err != nil {
					return err
				}
			}
			devices[3].ID, devices[3].Person = devices[0].ID, devices[0].Person
			again, err := report(tx, 3, "again")
			if again.ID != "r0" || !again.ReportedAt.Equal(began) {
				t.Errorf("reported again it is %+v", again)
			}
			return errors.Join(err, tx.EndLost("r0", began.Add(time.Second), time.Time{}), tx.EndLost("r0", began.Add(time.Minute), time.Time{}))
		})
		list := func(scope provisioner.Scope) (names string) {
			for after := (store.LostDevice{}); ; {
				page := view(t, s, func(tx *store.Reader) ([]store.LostDevice, error) { return tx.LostDevices(scope, after, 3) })
				for _, l := range page {
					names += fmt.Sprintf("%s %s %s %s %v\n", l.ID, l.Reason, l.DeviceName, l.ReporterName, l.EndedAt.Sub(began) == time.Second)
					after = l
				}
				if len(page) < 3 {
					return names
				}
			}
		}
		want := "r3 first laptop3 Person 0000 false\nr2 first laptop2 Person 0000 false\nr1 first laptop1 Person 0000 false\nr0 again laptop0 Person 0000 true\n"
		if got := list(provisioner.Everywhere()); got != want {
			t.Errorf("listed are\n%s", got)
		}
		if got := list(provisioner.Within("dorf")); got != "" {
			t.Errorf("another tenant is told\n%s", got)
		}
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.ForgetLost(began.Add(time.Minute), 10)
			if n != 2 {
				t.Errorf("%d were deleted", n)
			}
			return err
		})
	})
}
