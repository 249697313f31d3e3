package app

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/journal"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func wireGuardKey(n byte) provisioner.Key { return provisioner.Key{0: n, 31: 1} }

// holdsAPhone gives somebody a static peer, with all that it holds, and tells how many
// addresses are taken besides.
func holdsAPhone(tx *store.Writer, person string) (besides int64, err error) {
	aggregate := address.Aggregate{V4: netip.MustParsePrefix("10.80.0.0/16")}
	d := provisioner.Device{ID: "phone", Tenant: "stadt", Person: person, Generation: 1, PublicKey: wireGuardKey(31), StaticUntil: tx.Now.AddDate(0, 1, 0)}
	index, err := tx.TakeAddress("gw1", d.Tenant, d.ID, aggregate)
	if err := errors.Join(err, tx.AddDevice(d), tx.TakeSeat("vpn", d.Tenant, provisioner.PriorityOrdinary)); err != nil {
		return 0, err
	}
	if _, err = tx.AddStatic(store.StaticPeer{Device: d.ID, Gateway: "gw1", Pool: "vpn", AddressIndex: index, GatewayKey: wireGuardKey(32)}); err != nil {
		return 0, err
	}
	taken, err := tx.AddressesTaken("gw1")
	return taken - 1, err
}

// TestReplay takes again what journals say, from a database that knows some of
// it: never less than was taken, and nothing comes back by an enrolment anew.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	master, err := keyring.Create(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(dir, "db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var eva string
	var gone provisioner.Person
	var before store.Position
	var besides int64
	err = s.Update(t.Context(), func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "d"}); err != nil {
			return err
		}
		if err := tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "d"}); err != nil {
			return err
		}
		person, err := tx.KeepPerson(provisioner.Person{Directory: "d", StableID: "1", Login: "eva"})
		if err != nil {
			return err
		}
		eva = person.ID
		if gone, err = tx.KeepPerson(provisioner.Person{Directory: "d", StableID: "2", Login: "max", DisplayName: "Max Muster"}); err != nil {
			return err
		}
		if err := errors.Join(
			tx.PutStanding(provisioner.Standing{Person: gone.ID, Tenant: "stadt"}),
			tx.PutGateway(provisioner.Gateway{Name: "gw1", Sessions: 10, AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), Tenants: []string{"stadt"}}),
			tx.PutPool(provisioner.LicencePool{Name: "vpn", Contracts: []provisioner.Contract{{Seats: 10}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}}),
			tx.AddDevice(provisioner.Device{ID: "maxs", Tenant: "stadt", Person: gone.ID, Generation: 1, PublicKey: wireGuardKey(30)}),
			tx.Audit(store.Event{Actor: provisioner.System("x"), Tenant: "stadt", Action: "read person", Object: audit.Object{Kind: "person", ID: gone.ID, Name: gone.DisplayName}}),
		); err != nil {
			return err
		}
		if besides, err = holdsAPhone(tx, gone.ID); err != nil {
			return err
		}
		for n, id := range []string{"moved", "revoked", "suspended", "left", "stolen"} {
			if err := tx.AddDevice(provisioner.Device{ID: id, Tenant: "stadt", Person: eva, Generation: 1, SerialNumber: id, PublicKey: wireGuardKey(byte(n + 1))}); err != nil {
				return err
			}
		}
		if err := tx.AddStaffToken("staff", store.StaffToken{Name: "hilde", ExpiresAt: tx.Now.AddDate(1, 0, 0)}); err != nil {
			return err
		}
		return tx.AddOneTimeToken("once", store.TokenOperator, "", tx.Now.AddDate(1, 0, 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	if before, err = store.Read(t.Context(), s, (*store.Reader).Position); err != nil {
		t.Fatal(err)
	}
	device := func(id string, generation int64, n byte) journal.Device {
		key := wireGuardKey(n)
		return journal.Device{ID: id, Tenant: "stadt", Person: eva, SerialNumber: id, Generation: generation, PublicKey: key[:]}
	}
	desk := []provisioner.SuspensionSource{provisioner.SuspendedByHelpdesk}
	moved, revoked, suspended := device("moved", 3, 21), device("revoked", 1, 2), device("suspended", 1, 3)
	revoked.Revoked, suspended.Suspended = true, append(desk, provisioner.SuspendedWithPerson, provisioner.SuspendedWithTenant)
	stolen := device("stolen", 2, 4) // with a key that another one has
	later, stranger := device("later", 1, 22), device("stranger", 1, 23)
	later.Suspended, stranger.Revoked, stranger.Person = desk, true, "nobody known"
	done, err := replay(t.Context(), s, master, journal.Taken{
		Devices:   []journal.Device{later, moved, revoked, stolen, stranger, suspended, device("anew", 1, 24)},
		Upto:      map[string]int64{before.Epoch: 90, "another": 7},
		Forgotten: []journal.Forgotten{{Person: gone.ID, Tenant: "stadt"}, {Person: gone.ID, Tenant: "dorf"}, {Person: "nobody known", Tenant: "stadt"}},
	}, store.Content{Position: before})
	if err != nil {
		t.Fatal(err)
	}
	if done.Forgotten != 1 || done.Revoked != 1 || done.Suspended != 2 || done.Replaced != 2 || len(done.Unknown) != 1 || done.Unknown[0] != "stranger" {
		t.Errorf("done: %+v", done)
	}
	err = s.View(t.Context(), func(tx *store.Reader) error {
		for id, want := range map[string]struct {
			state      provisioner.DeviceState
			generation int64
			key        byte
		}{
			"moved": {provisioner.DeviceActive, 3, 21}, "revoked": {provisioner.DeviceRevoked, 1, 2},
			"suspended": {provisioner.DeviceSuspended, 1, 3}, "later": {provisioner.DeviceSuspended, 1, 22},
			"left": {provisioner.DeviceActive, 1, 4}, "stolen": {provisioner.DeviceActive, 3, 5}, // no certificate is of this generation
		} {
			d, err := tx.Device(id)
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			if d.State() != want.state || d.Generation != want.generation || d.PublicKey != wireGuardKey(want.key) {
				t.Errorf("%s is %s, generation %d, key %v", id, d.State(), d.Generation, d.PublicKey)
			}
		}
		_, person := tx.PersonSuspended(eva, "stadt", time.Now())
		_, tenant := tx.TenantSuspended("stadt", time.Now())
		if person != nil || tenant != nil {
			t.Errorf("she and her tenant do not rest as a whole again: %v, %v", person, tenant)
		}
		if _, err := tx.Person(gone.ID); !errors.Is(err, store.ErrNone) {
			t.Errorf("who was forgotten after the backup: %v", err)
		}
		if key, err := tx.KeyOwner(wireGuardKey(30)); err != nil || key != "forgotten" {
			t.Errorf("the key of who was forgotten is %q's, %v", key, err)
		}
		g, err := tx.Gateway("gw1")
		if err != nil || g.Open != 0 {
			t.Errorf("the phone of who was forgotten has its place still: %d, %v", g.Open, err)
		}
		pools, err := tx.Pools()
		if err != nil || len(pools) != 1 || pools[0].Held != 0 {
			t.Errorf("and its seat: %+v, %v", pools, err)
		}
		if taken, err := tx.AddressesTaken("gw1"); err != nil || taken != besides {
			t.Errorf("and its address: %d are taken, without it %d, %v", taken, besides, err)
		}
		position, err := tx.Position()
		if err != nil {
			return err
		}
		known, err := tx.KnownEpochs()
		if err != nil {
			return err
		}
		if position.Epoch == before.Epoch || known[before.Epoch] != 90 || known["another"] != 7 {
			t.Errorf("epoch %s, known %v", position.Epoch, known)
		}
		if _, err := tx.StaffToken("staff"); err == nil {
			t.Error("somebody is still signed in")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx *store.Writer) error { _, err := tx.UseOneTimeToken("once", store.TokenOperator); return err })
	if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != provisioner.CodeTokenInvalid {
		t.Errorf("a one-time token: %v", err)
	}
}
