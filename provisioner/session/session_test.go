package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// world is a store with one tenant, two gateways whose words the test speaks,
// and a directory that says what the test wants.
type world struct {
	*session.Service
	t        testing.TB
	store    *store.Store
	contacts *watch.Contacts
	standing func(provisioner.Person) (provisioner.Standing, error)
	epoch    string
}

const staff = "cn=homeoffice,dc=stadt"

type keys struct{}

func (keys) Current() int64 { return 1 }

func (keys) PresharedKey(version int64, id string) ([32]byte, error) {
	return sha256.Sum256(fmt.Append(nil, version, id)), nil
}

type standings struct{ w *world }

func (s standings) Lookup(_ context.Context, _ provisioner.Tenant, p provisioner.Person) (provisioner.Standing, error) {
	return s.w.standing(p)
}

func newWorld(t testing.TB, seats int64) *world {
	return newWorldOn(t, storetest.SQLite(t), seats)
}

func newWorldOn(t testing.TB, o store.Options, seats int64) *world {
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &world{t: t, store: s, contacts: watch.NewContacts(s, watch.NewHub(slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))}
	ended := make(chan error, 1)
	go func() { ended <- w.contacts.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		return provisioner.Standing{Person: p.ID, Tenant: "stadt", Groups: []string{"CN=Homeoffice,DC=stadt"}, ReadAt: time.Now()}, nil
	}
	w.Service = session.New(session.Options{
		Store: s, Standings: standings{w}, Confirmations: w.contacts, Keys: keys{}, Logger: slog.New(slog.DiscardHandler),
	})
	w.update(func(tx *store.Writer) error {
		policy := provisioner.DefaultPolicy()
		policy.DNSServers = []netip.Addr{netip.MustParseAddr("10.1.0.53")}
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{
				Name: "stadt", Directory: "ad", StaffGroup: staff, Policy: policy,
				Networks: []provisioner.NetworkGrant{
					{Group: provisioner.GroupAll, Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.1.0.0/16")}}},
					{Group: "cn=bauamt,dc=stadt", Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.2.0.10/32"), Port: 443}}},
				},
			}),
			tx.PutPool(provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: seats}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}}),
			w.putGateway(tx, "gw1", "10.80.0.0/16"),
			w.putGateway(tx, "gw2", "10.81.0.0/16"),
		)
	})
	position, err := store.Read(context.Background(), s, (*store.Reader).Position)
	if err != nil {
		t.Fatal(err)
	}
	w.epoch = position.Epoch
	return w
}

func (w *world) putGateway(tx *store.Writer, name, aggregate string) error {
	return errors.Join(
		tx.PutGateway(provisioner.Gateway{
			Name: name, Endpoint: name + ".stadt.example:51820", Sessions: 1000,
			AggregateV4: netip.MustParsePrefix(aggregate), Tenants: []string{"stadt"},
		}),
		tx.JoinGateway(name, sha256.Sum256([]byte(name)), time.Now().Add(time.Hour), "test"),
	)
}

func (w *world) update(do func(*store.Writer) error) {
	w.t.Helper()
	if err := w.store.Update(context.Background(), do); err != nil {
		w.t.Fatal(err)
	}
}

// serve makes a gateway one that confirms everything at once.
func (w *world) serve(gateway string) *watch.Contact {
	w.t.Helper()
	return w.connect(gateway, 1<<40)
}

// mute makes a gateway one that is connected and confirms nothing.
func (w *world) mute(gateway string) {
	w.t.Helper()
	w.connect(gateway, 0)
}

func (w *world) connect(gateway string, confirmed int64) *watch.Contact {
	w.t.Helper()
	contact, err := w.contacts.Connected(context.Background(), gateway)
	if err != nil {
		w.t.Fatal(err)
	}
	contact.Told(w.epoch, confirmed)
	contact.Acknowledged(w.epoch, confirmed, nil)
	return contact
}

func (w *world) laptop(n int) provisioner.Actor { return w.laptopOf("stadt", n) }

func (w *world) laptopOf(tenant string, n int) provisioner.Actor {
	w.t.Helper()
	var d provisioner.Device
	w.update(func(tx *store.Writer) error {
		p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(n), DisplayName: fmt.Sprint("Person ", n)})
		if err != nil {
			return err
		}
		d = provisioner.Device{ID: provisioner.NewID(), Tenant: tenant, Person: p.ID, Generation: 1, PublicKey: sha256.Sum256(fmt.Append(nil, n))}
		return errors.Join(
			tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Groups: []string{staff}, ReadAt: tx.Now}),
			tx.AddDevice(d),
		)
	})
	return provisioner.Actor{ID: d.ID, Generation: 1, Grants: []provisioner.Grant{{Role: provisioner.RoleDevice, Tenant: tenant}}}
}

func (w *world) open(actor provisioner.Actor, r session.OpenRequest) session.Opened {
	w.t.Helper()
	opened, err := w.Open(context.Background(), actor, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return opened
}

func expect(t *testing.T, err error, code provisioner.Code) {
	t.Helper()
	if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != code {
		t.Errorf("got %v, want the refusal %s", err, code)
	}
}

func TestOpenGivesAConfigurationThatWorks(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	actor := w.laptop(1)
	opened := w.open(actor, session.OpenRequest{Stream: "a"})
	want := session.Tunnel{
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.80.0.2/32")},
		Gateway:   "gw1", Probes: []netip.Addr{netip.MustParseAddr("10.80.0.1")}, Endpoint: "gw1.stadt.example:51820", PublicKey: sha256.Sum256([]byte("gw1")),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.80.0.1/32")},
		DNSServers: []netip.Addr{netip.MustParseAddr("10.1.0.53")},
		MTU:        1420, Keepalive: 25 * time.Second,
	}
	want.PresharedKey, _ = keys{}.PresharedKey(1, opened.Session.ID)
	byText := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, opened.Tunnel, byText, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	delta, err := w.Delta(context.Background(), "gw1", w.epoch, 0)
	if err != nil || len(delta.Peers) != 1 || delta.Peers[0].PresharedKey != want.PresharedKey {
		t.Errorf("the gateway is told %+v, %v", delta, err)
	}
}

func TestGroupsDecideWhatIsReached(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		return provisioner.Standing{Person: p.ID, Groups: []string{staff, "CN=Bauamt,DC=stadt"}}, nil
	}
	opened := w.open(w.laptop(1), session.OpenRequest{})
	if !cmp.Equal([]string{"10.1.0.0/16", "10.2.0.10/32", "10.80.0.1/32"}, prefixes(opened.Tunnel.AllowedIPs)) {
		t.Error(opened.Tunnel.AllowedIPs)
	}
}

// TestLocalNetworks: whether what is at home is reached is for the policy of a full tunnel to say; whose password has expired has no
// full tunnel, and needs what is at home.
func TestLocalNetworks(t *testing.T) {
	for _, c := range []struct {
		policy   provisioner.LocalNetworks
		password provisioner.PasswordPolicy
		denied   bool
	}{
		{"", provisioner.PasswordKeep, false}, {provisioner.LocalAllowed, provisioner.PasswordKeep, false},
		{provisioner.LocalDenied, provisioner.PasswordKeep, true}, {provisioner.LocalDenied, provisioner.PasswordHostsOnly, false},
	} {
		w := newWorld(t, 10)
		w.serve("gw1")
		w.update(func(tx *store.Writer) error {
			stadt, err := tx.Tenant("stadt")
			stadt.Policy.Tunnel, stadt.Policy.LocalNetworks, stadt.Policy.PasswordExpired = provisioner.TunnelFull, c.policy, c.password
			return errors.Join(err, tx.PutTenant(stadt))
		})
		w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
			return provisioner.Standing{Person: p.ID, Groups: []string{staff}, Password: provisioner.PasswordHasExpired}, nil
		}
		if tunnel := w.open(w.laptop(1), session.OpenRequest{}).Tunnel; tunnel.LocalDenied != c.denied {
			t.Errorf("%q, %s: %+v", c.policy, c.password, tunnel)
		}
	}
}

func prefixes(list []netip.Prefix) (out []string) {
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*world, *provisioner.Actor)
		code    provisioner.Code
	}{
		{"no gateway connected", func(*world, *provisioner.Actor) {}, provisioner.CodeNoGateway},
		{"gateway full", func(w *world, _ *provisioner.Actor) {
			w.serve("gw1")
			w.update(func(tx *store.Writer) error {
				g := provisioner.Gateway{Name: "gw1", Sessions: 0, AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), Tenants: []string{"stadt"}}
				return tx.PutGateway(g)
			})
		}, provisioner.CodeGatewayFull},
		{"another's certificate", func(_ *world, a *provisioner.Actor) { a.Grants = nil }, provisioner.CodeNotSignedIn},
		{"expired certificate", func(_ *world, a *provisioner.Actor) { a.Expired = true }, provisioner.CodeCertificateExpired},
		{"unknown device", func(_ *world, a *provisioner.Actor) { a.ID = "nobody" }, provisioner.CodeDeviceUnknown},
		{"older generation", func(_ *world, a *provisioner.Actor) { a.Generation = 0 }, provisioner.CodeDeviceReplaced},
		{"revoked", func(w *world, a *provisioner.Actor) {
			w.update(func(tx *store.Writer) error {
				_, err := tx.RevokeDevice(provisioner.Device{ID: a.ID}, "lost")
				return err
			})
		}, provisioner.CodeDeviceRevoked},
		{"suspended", func(w *world, a *provisioner.Actor) {
			w.update(func(tx *store.Writer) error {
				_, err := tx.SuspendDevice(provisioner.Device{ID: a.ID}, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Since: tx.Now})
				return err
			})
		}, provisioner.CodeDeviceSuspended},
		{"outside the group", func(w *world, _ *provisioner.Actor) {
			w.standing = func(provisioner.Person) (provisioner.Standing, error) { return provisioner.Standing{}, nil }
		}, provisioner.CodeNotInGroup},
		{"account disabled", func(w *world, _ *provisioner.Actor) {
			w.standing = func(provisioner.Person) (provisioner.Standing, error) {
				return provisioner.Standing{Groups: []string{staff}, Ended: "disabled"}, nil
			}
		}, provisioner.CodeAccessEnded},
		{"directory down for long", func(w *world, _ *provisioner.Actor) {
			w.standing = func(provisioner.Person) (provisioner.Standing, error) {
				return provisioner.Standing{}, provisioner.Refuse(provisioner.CodeDirectoryUnavailable)
			}
		}, provisioner.CodeDirectoryUnavailable},
		{"no licence", func(w *world, _ *provisioner.Actor) {
			w.update(func(tx *store.Writer) error {
				return tx.PutPool(provisioner.LicencePool{Name: "vpn", Contracts: []provisioner.Contract{{Seats: 10}}})
			})
		}, provisioner.CodeNoLicence},
		{"all seats taken", func(w *world, _ *provisioner.Actor) {
			w.serve("gw1")
			w.open(w.laptop(2), session.OpenRequest{})
		}, provisioner.CodeNoSeat},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			actor := w.laptop(1)
			c.prepare(w, &actor)
			_, err := w.Open(context.Background(), actor, session.OpenRequest{Stream: "a"})
			expect(t, err, c.code)
			if n, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(actor.ID) }); err == nil {
				t.Errorf("a refused opening left the session %v", n.ID)
			}
		})
	}
}

func TestAMuteGatewayIsLeftForAnother(t *testing.T) {
	w := newWorld(t, 1)
	w.mute("gw1")
	w.serve("gw2")
	opened := w.open(w.laptop(1), session.OpenRequest{Stream: "a"})
	if opened.Session.Gateway != "gw2" {
		t.Errorf("opened on %s", opened.Session.Gateway)
	}
	pools, err := store.Read(context.Background(), w.store, (*store.Reader).Pools)
	if err != nil || pools[0].Held != 1 {
		t.Errorf("%d seats held, %v: the one of the first try was not given back", pools[0].Held, err)
	}
}

func TestResumeGoesOnAndTheNewerStreamWins(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	actor := w.laptop(1)
	first := w.open(actor, session.OpenRequest{Stream: "old"})
	again := w.open(actor, session.OpenRequest{Stream: "new", Resume: first.Session.ID})
	if !again.Resumed || again.Session.ID != first.Session.ID || again.Tunnel.PresharedKey != first.Tunnel.PresharedKey {
		t.Errorf("resumed %+v", again)
	}
	_, err := w.Renew(context.Background(), actor, "old", first.Session.ID, provisioner.Usage{})
	expect(t, err, provisioner.CodeStreamReplaced)
	if _, err := w.Renew(context.Background(), actor, "new", first.Session.ID, provisioner.Usage{SentBytes: 7}); err != nil {
		t.Error(err)
	}
	foreign := w.laptop(2)
	_, err = w.Renew(context.Background(), foreign, "new", first.Session.ID, provisioner.Usage{})
	expect(t, err, provisioner.CodeSessionUnknown)
	if err := w.Close(context.Background(), foreign, first.Session.ID); err != nil {
		t.Error(err)
	}
	stolen := w.open(foreign, session.OpenRequest{Stream: "x", Resume: first.Session.ID})
	if stolen.Resumed || stolen.Session.ID == first.Session.ID {
		t.Error("a device resumed another's session")
	}
	if err := w.Check(context.Background(), actor, "new", first.Session.ID); err != nil {
		t.Error(err)
	}
	if err := w.Close(context.Background(), actor, first.Session.ID); err != nil {
		t.Error(err)
	}
	expect(t, w.Check(context.Background(), actor, "new", first.Session.ID), provisioner.CodeSessionClosed)
}

// A laptop that opens again and again is made to wait: each opening costs a
// revision and a row.
func TestOpeningInALoopIsHeldUp(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	actor := w.laptop(1)
	asked := 0
	w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		asked++
		return provisioner.Standing{Person: p.ID, Groups: []string{staff}}, nil
	}
	var err error
	for range 100 {
		if _, err = w.Open(context.Background(), actor, session.OpenRequest{Stream: "a"}); err != nil {
			break
		}
	}
	expect(t, err, provisioner.CodeTryLater)
	if refusal, _ := provisioner.AsRefusal(err); refusal != nil && (refusal.RetryAfter <= 0 || refusal.RetryAfter > time.Minute) {
		t.Errorf("it is to wait %v", refusal.RetryAfter)
	}
	if asked < 20 || asked > 40 {
		t.Errorf("the directory was asked %d times", asked)
	}
	w.open(w.laptop(2), session.OpenRequest{Stream: "b"})
}

// Whoever goes away while the gateway is waited for is not told, and the
// helpdesk is not shown, that the gateway was not ready.
func TestAnAbandonedOpeningBlamesNobody(t *testing.T) {
	w := newWorld(t, 10)
	w.mute("gw1")
	actor := w.laptop(1)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Open(ctx, actor, session.OpenRequest{Stream: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the opening ended with %v", err)
	}
	if _, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(actor.ID) }); !errors.Is(err, store.ErrNone) {
		t.Errorf("its session is left: %v", err)
	}
}

// However many open at once, seats are granted exactly as far as they go, and
// no address twice.
func TestSeatsAreNeverOversold(t *testing.T) {
	w := newWorld(t, 7)
	w.serve("gw1")
	w.serve("gw2")
	var granted atomic.Int64
	var mu sync.Mutex
	addresses := make(map[string]bool)
	var group sync.WaitGroup
	for n := range 20 {
		actor := w.laptop(n)
		group.Go(func() {
			opened, err := w.Open(context.Background(), actor, session.OpenRequest{Stream: "a"})
			if err != nil {
				expect(t, err, provisioner.CodeNoSeat)
				return
			}
			granted.Add(1)
			mu.Lock()
			defer mu.Unlock()
			a := opened.Tunnel.Addresses[0].String()
			if addresses[a] {
				t.Errorf("address %s twice", a)
			}
			addresses[a] = true
		})
	}
	group.Wait()
	if granted.Load() != 7 {
		t.Errorf("%d seats granted of 7", granted.Load())
	}
}

func TestARevocationAndAnOpeningNeverBothWin(t *testing.T) {
	w := newWorld(t, 100)
	w.serve("gw1")
	for n := range 20 {
		actor := w.laptop(n)
		var group sync.WaitGroup
		group.Go(func() { _, _ = w.Open(context.Background(), actor, session.OpenRequest{Stream: "a"}) })
		group.Go(func() {
			w.update(func(tx *store.Writer) error {
				d, err := tx.Device(actor.ID)
				if err != nil {
					return err
				}
				if _, err := tx.RevokeDevice(d, "lost"); err != nil {
					return err
				}
				if _, err := tx.CloseSessionOf(actor.ID, provisioner.CodeDeviceRevoked); !errors.Is(err, store.ErrNone) {
					return err
				}
				return nil
			})
		})
		group.Wait()
		if _, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(actor.ID) }); !errors.Is(err, store.ErrNone) {
			t.Fatalf("a revoked device has an open session: %v", err)
		}
	}
}

func TestDeltaAndSnapshotTellTheSame(t *testing.T) {
	w := newWorld(t, 100)
	w.serve("gw1")
	ctx := context.Background()
	for n := range 5 {
		actor := w.laptop(n)
		opened := w.open(actor, session.OpenRequest{Stream: "a"})
		if n%2 == 0 {
			if err := w.Close(ctx, actor, opened.Session.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	snap, err := w.Snapshot(ctx, "gw1")
	if err != nil {
		t.Fatal(err)
	}
	delta, err := w.Delta(ctx, "gw1", w.epoch, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Peers) != 2 || len(delta.Peers) != 2 || len(delta.Removed) != 3 || delta.Upto != snap.Revision {
		t.Errorf("snapshot %d peers at %d; delta %d peers, %d removed, upto %d", len(snap.Peers), snap.Revision, len(delta.Peers), len(delta.Removed), delta.Upto)
	}
	closed, upto, err := w.Closings(ctx, "gw1", 0)
	if err != nil || len(closed) != 3 || upto == 0 {
		t.Errorf("closings %v upto %d, %v", closed, upto, err)
	}
	for name, d := range map[string]struct {
		epoch string
		after int64
	}{"another epoch": {"x", 0}, "ahead of us": {w.epoch, snap.Revision + 1}} {
		if got, err := w.Delta(ctx, "gw1", d.epoch, d.after); err != nil || !got.Unknown {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	w.update(func(tx *store.Writer) error { _, err := tx.TrimChanges(3, 100); return err })
	if got, err := w.Delta(ctx, "gw1", w.epoch, 2); err != nil || !got.Unknown {
		t.Errorf("trimmed away: %+v, %v", got, err)
	}
}
