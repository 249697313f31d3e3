package store_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What a laptop answers is read back, also beside what the writer keeps in memory; it is counted by its text, without
// revoked laptops; and it goes with the revocation.
func TestConditionsOfDevices(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		day := provisioner.DayBegins(2026, time.November, 12)
		answers := []provisioner.ConditionState{{Condition: provisioner.DiskEncryption, Answer: provisioner.AnswerNo, Since: day}, {Condition: provisioner.Firewall, Answer: provisioner.AnswerYes}}
		var devices []provisioner.Device
		update(t, s, func(tx *store.Writer) error {
			for n := range 4 {
				d, err := laptop(tx, n)
				if err != nil {
					return err
				}
				devices = append(devices, d)
				if n > 0 {
					if err := tx.NoteConditions(d.ID, answers); err != nil {
						return err
					}
				}
			}
			d, err := tx.Device(devices[1].ID) // in the same transaction
			if got := provisioner.ConditionsText(d.Conditions); got != "disk_encryption=no@2026-11-12 firewall=yes" {
				t.Errorf("within the transaction it has %q", got)
			}
			return err
		})
		text := func(n int) string {
			return provisioner.ConditionsText(view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(devices[n].ID) }).Conditions)
		}
		counted := func() map[string]int64 {
			all := map[string]int64{}
			for _, a := range view(t, s, func(tx *store.Reader) ([]store.Answered, error) { return tx.ConditionsAnswered("stadt") }) {
				all[provisioner.ConditionsText(a.Conditions)] += a.Devices
			}
			return all
		}
		if got := text(1); got != "disk_encryption=no@2026-11-12 firewall=yes" {
			t.Errorf("read back is %q", got)
		}
		if got, want := counted(), map[string]int64{"": 1, "disk_encryption=no@2026-11-12 firewall=yes": 3}; !maps.Equal(got, want) {
			t.Errorf("counted are %v, want %v", got, want)
		}
		update(t, s, func(tx *store.Writer) error {
			revoked, err := tx.RevokeDevice(devices[2], "lost")
			if !revoked {
				return fmt.Errorf("it was not revoked: %w", err)
			}
			return tx.NoteConditions(devices[3].ID, nil)
		})
		if text(2) != "" || text(3) != "" {
			t.Errorf("kept is %q of a revoked one, %q of one that answered nothing", text(2), text(3))
		}
		if got, want := counted(), map[string]int64{"": 2, "disk_encryption=no@2026-11-12 firewall=yes": 1}; !maps.Equal(got, want) {
			t.Errorf("counted are %v, want %v", got, want)
		}
	})
}
