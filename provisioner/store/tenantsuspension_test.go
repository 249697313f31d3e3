package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// sources are those with which a device rests.
func sources(d provisioner.Device) (list []provisioner.SuspensionSource) {
	for _, s := range d.SuspendedBy {
		list = append(list, s.Source)
	}
	return list
}

// A device that is added while its tenant rests, rests; so does one that gets new keys,
// to which whoever suspends the tenant has not come yet.
func TestNewDevicesRestWithTheirTenant(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		want := []provisioner.SuspensionSource{provisioner.SuspendedWithTenant}
		device := func(id string) provisioner.Device {
			return view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(id) })
		}
		var before, added provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) {
			if before, err = laptop(tx, 1); err != nil {
				return err
			}
			for _, ends := range []time.Duration{time.Hour, time.Minute} { // the shorter one changes nothing
				changed, err := tx.SuspendTenant("stadt", "broken into", tx.Now.Add(ends))
				if err != nil || changed != (ends == time.Hour) {
					t.Errorf("for %s: %v, %v", ends, changed, err)
				}
			}
			added, err = laptop(tx, 2)
			return err
		})
		if got := device(added.ID); !slices.Equal(sources(got), want) || got.SuspendedBy[0].EndsAt.IsZero() || got.SuspendedBy[0].Reason != "broken into" {
			t.Errorf("it is %+v", got)
		}
		if got := device(before.ID); got.State() != provisioner.DeviceActive {
			t.Errorf("the one before is %+v", got)
		}
		for n := range 2 { // the second time it rests already
			update(t, s, func(tx *store.Writer) error {
				before.Generation++
				before.PublicKey = key(10 + n)
				return tx.ReplaceDevice(before)
			})
			if got := device(before.ID); !slices.Equal(sources(got), want) {
				t.Errorf("with new keys it is %+v", got)
			}
		}
		if over := view(t, s, func(tx *store.Reader) ([]string, error) {
			return tx.TenantsSuspendedUntil(time.Now().Add(2*time.Hour), 10)
		}); !slices.Equal(over, []string{"stadt"}) {
			t.Errorf("over are %v", over)
		}
		rests := func(now time.Time) bool {
			_, err := store.Read(t.Context(), s, func(tx *store.Reader) (provisioner.Suspension, error) { return tx.TenantSuspended("stadt", now) })
			if err != nil && !errors.Is(err, store.ErrNone) {
				t.Fatal(err)
			}
			return err == nil
		}
		if !rests(time.Now()) || rests(time.Now().Add(2*time.Hour)) {
			t.Error("it does not rest for an hour")
		}
		update(t, s, func(tx *store.Writer) error { return tx.RestoreTenant("stadt") })
		if rests(time.Now()) {
			t.Error("given back, it rests on")
		}
	})
}

// Each selection takes and gives back its own.
func TestSelectionsAreSourcesOfTheirOwn(t *testing.T) {
	for want, v := range map[provisioner.SuspensionSource]store.Selection{
		provisioner.SuspendedWithTenant:                 {Tenant: "stadt"},
		provisioner.SuspendedWithPerson:                 {Tenant: "stadt", Person: "p1"},
		`helpdesk tenant, version "1.2, unused"`:        {Tenant: "stadt", AgentVersion: "1.2, unused"},
		`helpdesk tenant, version "1.2", unused`:        {Tenant: "stadt", AgentVersion: "1.2", UnusedSince: time.Now()},
		`helpdesk gateway "gw1"`:                        {Gateway: "gw1"},
		`helpdesk person, gateway "gw1", version "1.2"`: {Tenant: "stadt", Person: "p1", Gateway: "gw1", AgentVersion: "1.2"},
	} {
		if got := v.Source(); got != want || !got.ByHelpdesk() {
			t.Errorf("%+v is %q, want %q", v, got, want)
		}
	}
	if !provisioner.SuspendedByHelpdesk.ByHelpdesk() || provisioner.SuspendedByDirectory.ByHelpdesk() || provisioner.SuspensionSource("helpdesks").ByHelpdesk() {
		t.Error("the helpdesk's sources are not told from others")
	}
}

// What was suspended with others before each selection was a source of its own is given
// back as it was taken, where that is known; and what was suspended singly is not.
func TestSuspensionsOfManyBefore(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			devices := make(map[string]provisioner.Device)
			at := map[string]string{"singly": "stolen", "leave": "leave", "tenant": "broken into", "before it": "broken into"}
			update(t, s, func(tx *store.Writer) error {
				for i, name := range []string{"singly", "leave", "tenant", "before it"} {
					d, err := laptop(tx, i)
					if err != nil {
						return err
					}
					devices[name] = d
					since := tx.Now
					if name == "before it" {
						since = since.Add(-time.Hour)
					}
					if _, err := tx.SuspendDevice(d, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: at[name], Since: since}); err != nil {
						return err
					}
				}
				_, err := tx.SuspendPerson(devices["leave"].Person, "stadt", "leave", time.Time{})
				return errors.Join(err, tx.AddTaking(store.Taking{ID: "t", Action: provisioner.ActionSuspendDevice, Selection: store.Selection{Tenant: "stadt"}, Reason: "broken into"}))
			})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, step := range backOverRest() {
				store.Exec(t, o, step)
			}
			s = open(t, o)
			for name, want := range map[string]provisioner.SuspensionSource{
				"singly": provisioner.SuspendedByHelpdesk, "leave": provisioner.SuspendedWithPerson,
				"tenant": provisioner.SuspendedWithTenant, "before it": provisioner.SuspendedByHelpdesk,
			} {
				d := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(devices[name].ID) })
				if got := sources(d); !slices.Equal(got, []provisioner.SuspensionSource{want}) {
					t.Errorf("%s: it rests with %q, want %q", name, got, want)
				}
			}
			rests := view(t, s, func(tx *store.Reader) (provisioner.Suspension, error) { return tx.TenantSuspended("stadt", time.Now()) })
			if rests.Reason != "broken into" {
				t.Errorf("the tenant: %+v", rests)
			}
		})
	}
}

// backOverRest takes a database back over 00019_rest.sql.
func backOverRest() []string {
	return []string{
		`alter table device drop column conditions`, // 00035_conditions.sql
		`drop table diagnosis`,                      // 00034_diagnosis.sql
		`drop index session_leaving`,                // 00033_leaving.sql
		`alter table session drop column left_at`,
		`drop table queue_move`, // 00032_capacity.sql
		`alter table gateway drop column warn_at`,
		`alter table gateway drop column weight`, // 00029_fleet.sql
		`alter table gateway drop column site`,
		`alter table gateway drop column throughput`,
		`alter table gateway drop column drain_since`,
		`alter table gateway drop column drain_by`,
		`alter table gateway drop column drain_why`,
		`alter table gateway drop column maintenance_from`,
		`alter table gateway drop column maintenance_until`,
		`alter table gateway drop column maintenance_why`,
		`alter table gateway_contact drop column rate`,
		`alter table gateway_contact drop column cpu`,
		`drop table warning`, // 00027_warnings.sql
		`drop table warning_message`,
		`drop table warning_state`,
		`drop table usage_series`, // 00026_usage.sql
		`drop table usage_interval`,
		`drop table usage_day`,
		`drop table usage_state`,
		`drop table usage_refused`,
		`drop index session_recall`, // 00025_recall.sql
		`alter table session drop column recall`,
		`drop table named_seat`, // 00024_named_seats.sql
		`drop table pool_day`,
		`drop index session_look`, // 00023_idle.sql
		`alter table session drop column counted_at`,
		`alter table session drop column counted_bytes`,
		`alter table session drop column active_at`,
		`alter table session drop column idle_at`,
		`alter table session drop column look_at`,
		`alter table tenant drop column idle_below`,
		`alter table tenant drop column idle_after`,
		`alter table tenant drop column idle_in_crisis`,
		`alter table tenant drop column crisis_since`,
		`alter table tenant drop column crisis_reason`,
		`create index session_end on session (due_until) where closed_at = 0 and due_until > 0`,
		`alter table pool_share drop column queued`, // 00031_queue_shares.sql
		`alter table pool_share drop column waiting_crisis`,
		`alter table pool_share drop column waiting_control`,
		`alter table pool_share drop column waiting_ordinary`,
		`drop table seat_queue`, // 00022_queue.sql
		`alter table licence_pool drop column queued`,
		`alter table licence_pool drop column waiting`,
		`drop table product_present`, // 00021_products.sql
		`drop table product_replica`,
		`drop table product_peak`,
		`drop table product_pool`,
		`alter table standing drop column password_changed_at`, // 00020_password.sql
		`drop table tenant_suspension`,
		`drop table taken_alone`,
		`drop index invitation_handed_over`,
		`alter table invitation drop column handed_over`,
		`alter table device drop column serial_by`,
		`delete from goose_db_version where version_id >= 19`,
	}
}
