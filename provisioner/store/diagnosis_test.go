package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What was sent is listed for its time, the latest first, and goes then.
func TestDiagnoses(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		began := time.Now()
		var device string
		update(t, s, func(tx *store.Writer) error {
			d, err := laptop(tx, 0)
			device = d.ID
			for n := range 3 {
				if err == nil {
					tx.Now = began.Add(time.Duration(n) * time.Hour)
					err = tx.AddDiagnosis(store.Diagnosis{ID: fmt.Sprint("d", n), Device: d.ID, Tenant: "stadt", Words: "help", Body: "{}"})
				}
			}
			return err
		})
		counted := view(t, s, func(tx *store.Reader) ([]store.AgentVersion, error) {
			return tx.AgentVersions(provisioner.Within("stadt"))
		})
		if len(counted) != 1 || counted[0].Tenant != "stadt" || counted[0].Laptops != 1 {
			t.Errorf("laptops by version: %+v", counted)
		}
		ids := func(since time.Time) (all string) {
			for _, d := range view(t, s, func(tx *store.Reader) ([]store.Diagnosis, error) { return tx.Diagnoses(device, since, 10) }) {
				all += d.ID + " " + d.Words + d.Body + d.Tenant + ";"
			}
			return all
		}
		if got := ids(began.Add(time.Minute)); got != "d2 help{}stadt;d1 help{}stadt;" {
			t.Errorf("listed are %s", got)
		}
		update(t, s, func(tx *store.Writer) error {
			n, first, err := tx.DiagnosesSince(device, began.Add(time.Minute))
			if n != 2 || first.Sub(began.Add(time.Hour)).Abs() > time.Millisecond {
				t.Errorf("%d since, the first at %s", n, first)
			}
			gone, failed := tx.ForgetDiagnoses(began.Add(time.Minute), 10)
			if gone != 1 || failed != nil {
				t.Errorf("%d are gone, %v", gone, failed)
			}
			return err
		})
		if got := ids(time.Time{}); got != "d2 help{}stadt;d1 help{}stadt;" {
			t.Errorf("left are %s", got)
		}
	})
}
