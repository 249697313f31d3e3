package entitlement_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

const (
	staffGroup = "cn=Homeoffice,ou=Gruppen,dc=stadt,dc=example"
	probeGroup = "cn=probe,ou=Gruppen,dc=stadt,dc=example"
	peopleBase = "ou=Personal,dc=stadt,dc=example"
)

// feed is a directory that a test plays: it tells what the test says.
type feed struct {
	mu       sync.Mutex
	entries  map[string]directory.Entry // what a full read finds, by stable id
	telling  directory.Observer         // who is told changes
	observer directory.Observer         // the same, once everything has been read
	ends     chan error                 // ends Follow
	live     chan struct{}              // closed while it is followed
	away     bool                       // nobody answers
}

func newFeed() *feed {
	return &feed{entries: map[string]directory.Entry{}, ends: make(chan error), live: make(chan struct{})}
}

func (f *feed) Follow(ctx context.Context, to directory.Observer) error {
	f.mu.Lock()
	away := f.away
	f.mu.Unlock()
	if away {
		return &directory.Error{Cause: directory.Unavailable, Directory: "stadt-ad", Detail: "nobody answers", Advice: "look at the server"}
	}
	f.mu.Lock()
	entries := f.all()
	f.telling = to // from now on changes are told
	f.mu.Unlock()
	read(to, entries)
	to.Live(directory.Source{Server: "ldaps://test", Flavour: directory.OpenLDAP, Way: directory.WaySyncrepl})
	f.mu.Lock()
	f.observer = to
	close(f.live)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.observer, f.telling, f.live = nil, nil, make(chan struct{})
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-f.ends:
		return err
	}
}

func (f *feed) Reconcile(_ context.Context, to directory.Observer) error {
	read(to, f.snapshot())
	return nil
}

// snapshot is what a full read finds.
func (f *feed) snapshot() []directory.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all()
}

// all is what a full read finds; f.mu is held.
func (f *feed) all() []directory.Entry { return slices.Collect(maps.Values(f.entries)) }

// read tells entries, and that these are all.
func read(to directory.Observer, entries []directory.Entry) {
	p := to.Pass()
	for _, e := range entries {
		p.Read(e)
	}
	p.Whole()
}

// followed waits until the directory is followed, and gives who listens.
func (f *feed) followed() directory.Observer {
	for {
		f.mu.Lock()
		to, live := f.observer, f.live
		f.mu.Unlock()
		if to != nil {
			return to
		}
		<-live
	}
}

// put makes or changes an entry, and tells it if the directory is followed.
func (f *feed) put(e directory.Entry) {
	f.mu.Lock()
	f.entries[e.StableID] = e
	to := f.telling
	f.mu.Unlock()
	if to != nil {
		to.Changed(e)
	}
}

// remove deletes an entry.
func (f *feed) remove(id string) {
	f.mu.Lock()
	delete(f.entries, id)
	to := f.telling
	f.mu.Unlock()
	if to != nil {
		to.Gone(id)
	}
}

// forget deletes an entry without telling.
func (f *feed) forget(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.entries, id)
	}
}

// feeds lends directories that can only be followed.
type feeds map[string]*feed

type fed struct {
	directory.Directory // nil: nobody signs in here
	feed                *feed
}

func (f fed) Feed(directory.Interest) directory.Feed { return f.feed }

func (f feeds) Use(d provisioner.Directory, use func(directory.Directory) error) error {
	return use(fed{feed: f[d.Name]})
}

func dnOf(id string) string { return "uid=" + id + "," + peopleBase }

func person(id string, change ...func(*directory.Person)) directory.Entry {
	p := &directory.Person{Directory: "stadt-ad", StableID: id, Login: id, DisplayName: "Person " + id, Mail: id + "@stadt.example", DN: dnOf(id)}
	for _, c := range change {
		c(p)
	}
	return directory.Entry{StableID: id, DN: p.DN, Person: p}
}

func disabled(p *directory.Person) { p.Status.Ended = directory.EndDisabled }

func group(dn string, members ...string) directory.Entry {
	return directory.Entry{StableID: "g:" + dn, DN: dn, Members: members}
}

// world is a store with a tenant, and its directory.
type world struct {
	t      *testing.T
	store  *store.Store
	rights *entitlement.Service
	feed   *feed // of the directory stadt-ad
	feeds  feeds
	tenant provisioner.Tenant
	log    *logged
	people []string
	probes int
	stop   func()
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
	hold map[string]chan struct{} // by a part of a line
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part, until := range l.hold {
		if strings.Contains(string(b), part) {
			l.text.Write(b)
			l.mu.Unlock()
			<-until
			l.mu.Lock()
			return len(b), nil
		}
	}
	return l.text.Write(b)
}

// holdUp keeps whoever logs a line with this part in it where it is, from now on until the returned function is called.
func (l *logged) holdUp(part string) (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := make(chan struct{})
	l.hold = map[string]chan struct{}{part: until}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hold = nil
		close(until)
	})
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

var operator = provisioner.Actor{ID: "op", Name: "Olga", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}

// newWorld has so many people in the staff group, each with a device and a session, and follows their directory.
func newWorld(t *testing.T, people int, change ...func(*provisioner.Tenant)) *world {
	t.Helper()
	s, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{t: t, store: s, feed: newFeed(), feeds: feeds{}, log: new(logged), tenant: provisioner.Tenant{
		Name: "stadt", DisplayName: "Stadt", Directory: "stadt-ad", Base: peopleBase, StaffGroup: staffGroup,
		Roles: provisioner.RoleGroups{Helpdesk: probeGroup}, Policy: provisioner.DefaultPolicy(),
	}}
	w.feeds["stadt-ad"] = w.feed
	for _, c := range change {
		c(&w.tenant)
	}
	w.update(func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "stadt-ad", Servers: []string{"ldaps://test"}, Base: peopleBase}); err != nil {
			return err
		}
		if err := tx.PutTenant(w.tenant); err != nil {
			return err
		}
		if err := tx.PutPool(provisioner.LicencePool{
			Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
		}); err != nil {
			return err
		}
		return tx.PutGateway(provisioner.Gateway{
			Name: "gw1", Endpoint: "192.0.2.1:51820", Sessions: 1000, AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), Tenants: []string{"stadt"},
		})
	})
	var members []string
	for n := range people {
		id := fmt.Sprintf("p%03d", n)
		w.people = append(w.people, id)
		members = append(members, dnOf(id))
		w.feed.put(person(id))
	}
	w.feed.put(group(staffGroup, members...))
	w.feed.put(group(probeGroup, dnOf("zz-probe")))
	w.follow()
	w.eventually("everybody is known", func() bool { return len(w.entitled()) == people })
	for _, id := range w.people {
		w.addDevice(id)
	}
	return w
}

// follow starts the service, and waits until the directory is followed.
func (w *world) follow() {
	w.t.Helper()
	w.start()
	w.feed.followed()
}

// start starts the service.
func (w *world) start() {
	w.t.Helper()
	w.rights = entitlement.New(entitlement.Options{
		Store: w.store, Directories: w.feeds, Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(context.Background()) // ends in the cleanup, which the test's context does not reach
	done := make(chan error, 1)
	go func() { done <- w.rights.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

func (w *world) update(do func(*store.Writer) error) {
	w.t.Helper()
	if err := w.store.Update(context.WithoutCancel(w.t.Context()), do); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) known(id string) store.KnownPerson {
	w.t.Helper()
	k, err := store.Read(w.t.Context(), w.store, func(tx *store.Reader) (store.KnownPerson, error) { return tx.KnownAs("stadt-ad", id) })
	if err != nil && !errors.Is(err, store.ErrNone) {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) standing(id string) provisioner.Standing {
	w.t.Helper()
	for _, v := range w.known(id).Standings {
		if v.Tenant == w.tenant.Name {
			return v
		}
	}
	return provisioner.Standing{}
}

// entitled lists who has the right.
func (w *world) entitled() []string {
	w.t.Helper()
	list, err := store.Read(w.t.Context(), w.store, func(tx *store.Reader) ([]store.KnownPerson, error) { return tx.KnownPeople("stadt-ad", "", 10000) })
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, k := range list {
		for _, v := range k.Standings {
			if v.Entitled {
				ids = append(ids, k.Person.StableID)
			}
		}
	}
	return ids
}

func (w *world) addDevice(id string) {
	w.t.Helper()
	k := w.known(id)
	w.update(func(tx *store.Writer) error {
		d := provisioner.Device{ID: "device" + id, Tenant: w.tenant.Name, Person: k.Person.ID, Generation: 1, Name: "nb-" + id, EnrolledAt: tx.Now}
		copy(d.PublicKey[:], "key of the laptop of "+id)
		if err := tx.AddDevice(d); err != nil {
			return err
		}
		index, err := tx.TakeAddress("gw1", d.Tenant, d.ID, address.Aggregate{V4: netip.MustParsePrefix("10.80.0.0/16")})
		if err != nil {
			return err
		}
		if err := tx.TakeSeat("vpn", d.Tenant, provisioner.PriorityOrdinary); err != nil {
			return err
		}
		return tx.OpenSession(&provisioner.Session{
			ID: "session" + id, Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: "gw1", Pool: "vpn", AddressIndex: index, PublicKey: d.PublicKey,
			OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(time.Hour),
		})
	})
}

func (w *world) device(id string) provisioner.Device {
	w.t.Helper()
	d, err := store.Read(w.t.Context(), w.store, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device("device" + id) })
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// connected counts sessions that are open.
func (w *world) connected() int {
	w.t.Helper()
	list, err := store.Read(w.t.Context(), w.store, func(tx *store.Reader) ([]provisioner.Session, error) {
		return tx.SessionsIn(provisioner.Everywhere(), "", "", 10000)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list)
}

func (w *world) pending() entitlement.Pending {
	w.t.Helper()
	list, err := w.rights.Pending(w.t.Context(), operator, "")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list) == 0 {
		return entitlement.Pending{}
	}
	return list[0]
}

// eventually waits until something holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 20 s: %s\n%s", what, w.log.text.String())
		}
		time.Sleep(2 * time.Millisecond) // real: nothing tells of what was written to the store
	}
}

// settled waits until everything told so far has been looked at: somebody who is told last, and of whom nobody has known, is
// seen last.
func (w *world) settled() {
	w.t.Helper()
	w.probes++
	probe := fmt.Sprint("zz-probe-", w.probes)
	w.feed.put(group(probeGroup, dnOf(probe)))
	w.feed.put(person(probe))
	w.eventually("the probe is seen", func() bool { return w.known(probe).Person.ID != "" })
}
