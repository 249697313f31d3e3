package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Unused is what has access and was neither enrolled nor used since a day; what rests,
// is open or was used is not. Taken is the same.
func TestUnusedDevices(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			names := []string{"never", "long ago", "lately", "open", "rests", "revoked", "new"}
			devices := make(map[string]provisioner.Device)
			update(t, s, func(tx *store.Writer) error {
				for n, name := range names {
					d, err := laptop(tx, n)
					if err != nil {
						return err
					}
					devices[name] = d
				}
				second := devices["long ago"] // of the same person, who uses another one
				second.ID, second.Person, second.PublicKey, second.SerialNumber = provisioner.NewID(), devices["lately"].Person, key(100), "second"
				devices["second"] = second
				_, err := tx.SuspendDevice(devices["rests"], provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk})
				_, err2 := tx.RevokeDevice(devices["revoked"], "x")
				_, err3 := session(tx, devices["open"])
				return errors.Join(err, err2, err3, tx.AddDevice(second))
			})
			now := time.Now()
			days := func(n int) int64 { return now.AddDate(0, 0, -n).UTC().Truncate(24 * time.Hour).UnixMilli() }
			for name, d := range devices {
				if name != "new" {
					store.Exec(t, o, `update device set enrolled_at = $1 where id = $2`, days(400), d.ID)
				}
			}
			for name, n := range map[string]int{"long ago": 91, "lately": 90} {
				store.Exec(t, o, `insert into former_address values ($1, 'gw1', 70, $2)`, devices[name].ID, days(n))
			}
			since := time.UnixMilli(days(90)).UTC()
			var got []string
			for after := ""; ; {
				list := view(t, s, func(tx *store.Reader) ([]store.UnusedDevice, error) {
					return tx.UnusedDevices(provisioner.Within("stadt"), since, after, 2)
				})
				for _, u := range list {
					for name, d := range devices {
						if d.ID == u.Device.ID {
							got = append(got, fmt.Sprint(name, " ", u.LastUsed.Format(time.DateOnly), " ", u.PersonToo))
						}
					}
					after = u.Device.ID
				}
				if len(list) < 2 {
					break
				}
			}
			slices.Sort(got)
			want := []string{"long ago " + now.AddDate(0, 0, -91).UTC().Format(time.DateOnly) + " true", "never 0001-01-01 true", "second 0001-01-01 false"}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("unused are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if list := view(t, s, func(tx *store.Reader) ([]store.UnusedDevice, error) {
				return tx.UnusedDevices(provisioner.Within("dorf"), since, "", 10)
			}); len(list) > 0 {
				t.Errorf("another tenant is told of %v", list)
			}

			taking := store.Taking{ID: "t", Action: provisioner.ActionRevokeDevice, Selection: store.Selection{Tenant: "stadt", UnusedSince: since}}
			update(t, s, func(tx *store.Writer) error { return tx.AddTaking(taking) })
			kept := view(t, s, func(tx *store.Reader) (store.Taking, error) { return tx.Taking("t") })
			if kept.Action != taking.Action || !kept.Selection.UnusedSince.Equal(since) {
				t.Errorf("kept is %+v", kept)
			}
			if action := store.Everything(t, o)["taking"]["action"]; action[0] == string(taking.Action) {
				t.Errorf("a program of the version before would take everything: %q", action)
			}
			n := view(t, s, func(tx *store.Reader) (int64, error) {
				n, _, err := tx.Selected(kept.Selection, kept.Action)
				return n, err
			})
			if next := view(t, s, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.NextOf(kept, 10) }); n != 3 || len(next) != 3 {
				t.Errorf("%d are selected, %d would be taken", n, len(next))
			}
		})
	}
}

// A device that is added for a person whose access rests, rests.
func TestNewDevicesRestWithTheirPerson(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) {
			if d, err = laptop(tx, 1); err != nil {
				return err
			}
			for _, ends := range []time.Duration{time.Hour, time.Minute} { // the shorter one changes nothing
				changed, err := tx.SuspendPerson(d.Person, "stadt", "leave", tx.Now.Add(ends))
				if err != nil || changed != (ends == time.Hour) {
					t.Errorf("for %s: %v, %v", ends, changed, err)
				}
			}
			d.ID, d.PublicKey, d.SerialNumber = provisioner.NewID(), key(2), "second"
			return tx.AddDevice(d)
		})
		added := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(d.ID) })
		if added.State() != provisioner.DeviceSuspended || added.SuspendedBy[0].EndsAt.IsZero() {
			t.Errorf("it is %+v", added)
		}
		over := view(t, s, func(tx *store.Reader) ([]store.RestedPerson, error) {
			return tx.PeopleSuspendedUntil(time.Now().Add(2*time.Hour), 10)
		})
		if len(over) != 1 || over[0] != (store.RestedPerson{Person: d.Person, Tenant: "stadt"}) {
			t.Errorf("over are %v", over)
		}
		update(t, s, func(tx *store.Writer) error { return tx.RestorePerson("stadt", d.Person) })
		_, err := store.Read(t.Context(), s, func(tx *store.Reader) (provisioner.Suspension, error) {
			return tx.PersonSuspended(d.Person, "stadt", time.Now())
		})
		if !errors.Is(err, store.ErrNone) {
			t.Errorf("given back: %v", err)
		}
	})
}
