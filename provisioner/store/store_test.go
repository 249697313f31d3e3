package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// engines are where an empty database comes from.
var engines = []struct {
	name string
	make func(testing.TB) store.Options
}{
	{"sqlite", storetest.SQLite},
	{"postgres", storetest.Postgres},
}

// onEach runs a test on an empty database of every engine.
func onEach(t *testing.T, test func(*testing.T, *store.Store)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel() // much of it is waiting for the disk
			test(t, open(t, e.make(t)))
		})
	}
}

func update(t testing.TB, s *store.Store, do func(*store.Writer) error) {
	t.Helper()
	if err := s.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func view[T any](t testing.TB, s *store.Store, read func(*store.Reader) (T, error)) T {
	t.Helper()
	v, err := store.Read(context.Background(), s, read)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// town declares one tenant with one directory, pool and gateway.
func town(t testing.TB, s *store.Store) {
	t.Helper()
	update(t, s, func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "stadt-ad", Servers: []string{"ldaps://dc1.stadt.example"}}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "stadt-ad", MailDomains: []string{"stadt.example"}, Policy: provisioner.DefaultPolicy()}),
			tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100}},
				Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 3}},
			}),
			tx.PutGateway(gateway()),
		)
	})
}

func gateway() provisioner.Gateway {
	return provisioner.Gateway{
		Name: "gw1", Endpoint: "vpn1.stadt.example:51820", Sessions: 1500,
		AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), AggregateV6: netip.MustParsePrefix("fd80:1::/48"),
		Tenants: []string{"stadt"},
	}
}

func key(n int) (k provisioner.Key) {
	copy(k[:], fmt.Sprintf("key %028d", n))
	return k
}

// laptop makes person n and a device.
func laptop(tx *store.Writer, n int) (provisioner.Device, error) {
	p, err := tx.KeepPerson(provisioner.Person{
		Directory: "stadt-ad", StableID: fmt.Sprint("uuid-", n), Login: fmt.Sprint("person", n),
		DisplayName: fmt.Sprintf("Person %04d", n), Mail: fmt.Sprintf("person%d@stadt.example", n),
	})
	if err != nil {
		return provisioner.Device{}, err
	}
	d := provisioner.Device{
		ID: provisioner.NewID(), Tenant: "stadt", Person: p.ID, Generation: 1, Name: fmt.Sprint("laptop", n),
		SerialNumber: fmt.Sprint("SN", n), Platform: "linux", AgentVersion: "1", PublicKey: key(n), EnrolledAt: tx.Now,
	}
	return d, errors.Join(
		tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", ReadAt: tx.Now}),
		tx.AddDevice(d),
	)
}

// session opens one for a device.
func session(tx *store.Writer, d provisioner.Device) (provisioner.Session, error) {
	return sessionAt(tx, d, gateway())
}

func sessionAt(tx *store.Writer, d provisioner.Device, g provisioner.Gateway) (provisioner.Session, error) {
	index, err := tx.TakeAddress(g.Name, d.Tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return provisioner.Session{}, err
	}
	s := provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: g.Name, Pool: "vpn",
		AddressIndex: index, PublicKey: d.PublicKey, Stream: "stream",
		OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
	}
	return s, errors.Join(tx.TakeSeat("vpn", d.Tenant, provisioner.PriorityOrdinary), tx.OpenSession(&s))
}

func TestRevisionsHaveNoGapsAndStandInCommitOrder(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		var group sync.WaitGroup
		refused := errors.New("refused")
		for i := range 200 {
			group.Go(func() {
				err := s.Update(context.Background(), func(tx *store.Writer) error {
					if _, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Device: fmt.Sprint(i)}); err != nil {
						return err
					}
					if i%3 == 0 {
						return refused // takes its revision back
					}
					return nil
				})
				if want := i%3 == 0; errors.Is(err, refused) != want {
					t.Errorf("update %d: %v", i, err)
				}
			})
		}
		group.Wait()
		changes := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(0, 1000) })
		if len(changes) != 133 {
			t.Fatalf("%d changes, want 133", len(changes))
		}
		for i, c := range changes {
			if c.Revision != int64(i+1) {
				t.Fatalf("change %d has revision %d", i, c.Revision)
			}
		}
		if p := view(t, s, (*store.Reader).Position); p.Revision != 133 {
			t.Errorf("position %d, want 133", p.Revision)
		}
	})
}

func TestAFailedUpdateTakesBackOnlyItself(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var group sync.WaitGroup
		for n := range 64 {
			group.Go(func() {
				err := s.Update(context.Background(), func(tx *store.Writer) error {
					if _, err := laptop(tx, n); err != nil {
						return err
					}
					switch n % 4 {
					case 1:
						return errors.New("refused")
					case 2:
						panic("a mistake")
					}
					return nil
				})
				if (err == nil) != (n%4 == 0 || n%4 == 3) {
					t.Errorf("update %d: %v", n, err)
				}
			})
		}
		group.Wait()
		found := view(t, s, func(tx *store.Reader) ([]store.FoundPerson, error) {
			return tx.FindPeople(provisioner.Everywhere(), "person", 100)
		})
		if len(found) != 32 {
			t.Errorf("%d people, want 32", len(found))
		}
	})
}

func TestUrgentGoesFirst(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		hold, held := make(chan struct{}), make(chan struct{})
		var order []string
		var group sync.WaitGroup
		submit := func(name string, update func(context.Context, func(*store.Writer) error) error, do func()) {
			group.Go(func() {
				if err := update(context.Background(), func(*store.Writer) error {
					do()
					order = append(order, name) // the writer's goroutine alone
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		submit("first", s.Update, func() { close(held); <-hold })
		<-held
		submit("import", s.Update, func() {})
		for s.Waiting() < 1 {
			time.Sleep(time.Millisecond) // real: nothing announces that an update waits
		}
		submit("revocation", s.UpdateUrgent, func() {})
		for s.Waiting() < 2 {
			time.Sleep(time.Millisecond) // real: as above
		}
		close(hold)
		group.Wait()
		if diff := cmp.Diff([]string{"first", "revocation", "import"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUpdatesAreDurableAndViewsWriteNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space & ä?.db")
	s := open(t, store.Options{Database: path})
	town(t, s)
	before := view(t, s, (*store.Reader).Position)
	for _, file := range []string{path, path + "-wal"} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v: others may read it", file, info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), func(*store.Writer) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("update after close: %v", err)
	}
	again := open(t, store.Options{Database: path})
	if after := view(t, again, (*store.Reader).Position); after != before {
		t.Errorf("after reopening %+v, before %+v", after, before)
	}
	if got := view(t, again, func(tx *store.Reader) (string, error) { return tx.TenantOfMailDomain("stadt.example") }); got != "stadt" {
		t.Errorf("mail domain leads to %q", got)
	}
}

func TestKeysNeverReturn(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) { d, err = laptop(tx, 1); return err })
		update(t, s, func(tx *store.Writer) error {
			d.Generation, d.PublicKey = 2, key(2)
			return tx.ReplaceDevice(d)
		})
		for name, n := range map[string]int{"a living key": 2, "a dead key": 1} {
			err := s.Update(context.Background(), func(tx *store.Writer) error {
				_, err := laptop(tx, 3)
				return errors.Join(err, tx.ClaimKey(key(n), "x"))
			})
			if !errors.Is(err, provisioner.Refuse(provisioner.CodeKeyInUse)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestPeopleAreKnownByStableID(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		keep := func(p provisioner.Person) (got provisioner.Person) {
			update(t, s, func(tx *store.Writer) (err error) { got, err = tx.KeepPerson(p); return err })
			return got
		}
		eva := keep(provisioner.Person{Directory: "stadt-ad", StableID: "1", Login: "eva", DisplayName: "Eva Müller"})
		married := keep(provisioner.Person{Directory: "stadt-ad", StableID: "1", Login: "eschulz", DisplayName: "Eva Schulz"})
		if married.ID != eva.ID {
			t.Error("a new name made a new person")
		}
		other := keep(provisioner.Person{Directory: "stadt-ad", StableID: "2", Login: "eva", DisplayName: "Eva Müller"})
		if other.ID == eva.ID {
			t.Error("the same login with another stable id is the same person")
		}
	})
}

func TestWhoIsMeantByWhatWasTyped(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var eva provisioner.Person
		update(t, s, func(tx *store.Writer) (err error) {
			eva, err = tx.KeepPerson(provisioner.Person{Directory: "stadt-ad", StableID: "1", Login: "EMüller", Mail: "eva@stadt.example", DisplayName: "Eva"})
			return errors.Join(err, tx.PutStanding(provisioner.Standing{Person: eva.ID, Tenant: "stadt", ReadAt: tx.Now}))
		})
		for typed, found := range map[string]bool{"emüller": true, "EMUELLER": true, "Eva@Stadt.Example": true, "eva": false, "": false, "emülle": false, "%": false} {
			got, err := store.Read(context.Background(), s, func(tx *store.Reader) (provisioner.Person, error) { return tx.PersonTyped("stadt", typed) })
			if found != (err == nil && got.ID == eva.ID) || !found && !errors.Is(err, store.ErrNone) {
				t.Errorf("%q: %v, %v", typed, got, err)
			}
		}
		if _, err := store.Read(context.Background(), s, func(tx *store.Reader) (provisioner.Person, error) { return tx.PersonTyped("nachbar", "emüller") }); !errors.Is(err, store.ErrNone) {
			t.Errorf("in another tenant: %v", err)
		}
	})
}

func TestFindPeopleStaysInScopeAndFoldsNames(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		update(t, s, func(tx *store.Writer) error {
			p, err := tx.KeepPerson(provisioner.Person{Directory: "stadt-ad", StableID: "m", Login: "mue%ler", DisplayName: "Jörg Müller-Weiß"})
			return errors.Join(err, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", ReadAt: tx.Now}))
		})
		for query, want := range map[string]int{
			"müller": 1, "MÜLLER": 1, "mueller": 1, "weiss jörg": 1, "%": 1, "mue%l": 1, "_": 0, "schulz": 0, "": 0, "  ": 0, "';--": 0,
		} {
			got := view(t, s, func(tx *store.Reader) ([]store.FoundPerson, error) {
				return tx.FindPeople(provisioner.Within("stadt"), query, 10)
			})
			if len(got) != want {
				t.Errorf("%q: %d hits, want %d", query, len(got), want)
			}
		}
		for _, scope := range []provisioner.Scope{{}, provisioner.Within("nachbar")} {
			if got := view(t, s, func(tx *store.Reader) ([]store.FoundPerson, error) { return tx.FindPeople(scope, "mueller", 10) }); len(got) != 0 {
				t.Errorf("scope %v found %v", scope, got)
			}
		}
	})
}

func TestOneTimeTokensWorkOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(
				tx.AddOneTimeToken("old", store.TokenGateway, "gw1", tx.Now.Add(time.Hour)),
				tx.AddOneTimeToken("good", store.TokenGateway, "gw1", tx.Now.Add(time.Hour)),
				tx.AddOneTimeToken("late", store.TokenGateway, "gw2", tx.Now),
			)
		})
		use := func(token, purpose string) (subject string, err error) {
			err = s.Update(context.Background(), func(tx *store.Writer) (err error) { subject, err = tx.UseOneTimeToken(token, purpose); return err })
			return subject, err
		}
		invalid := provisioner.Refuse(provisioner.CodeTokenInvalid)
		for _, c := range [][2]string{{"old", "gateway"}, {"late", "gateway"}, {"good", "operator"}, {"", "gateway"}, {"GOOD", "gateway"}} {
			if _, err := use(c[0], c[1]); !errors.Is(err, invalid) {
				t.Errorf("%v: %v", c, err)
			}
		}
		if subject, err := use("good", "gateway"); err != nil || subject != "gw1" {
			t.Errorf("good: %q, %v", subject, err)
		}
		if _, err := use("good", "gateway"); !errors.Is(err, invalid) {
			t.Errorf("replayed: %v", err)
		}
	})
}

func TestFailuresAreCountedInAWindow(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		count := func(since time.Time) (n int64) {
			update(t, s, func(tx *store.Writer) (err error) { n, err = tx.CountFailure("l:stadt/eva", since); return err })
			return n
		}
		past := time.Now().Add(-time.Hour)
		if a, b := count(past), count(past); a != 1 || b != 2 {
			t.Errorf("counted %d, %d", a, b)
		}
		if n := count(time.Now().Add(time.Hour)); n != 1 {
			t.Errorf("a new window begins at %d", n)
		}
	})
}

func TestTrimKeepsTheHorizon(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		for range 10 {
			update(t, s, func(tx *store.Writer) error {
				_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice})
				return err
			})
		}
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.TrimChanges(7, 4)
			if n != 4 {
				t.Errorf("trimmed %d, want 4", n)
			}
			return err
		})
		if p := view(t, s, (*store.Reader).Position); p.Horizon != 4 || p.Revision != 10 {
			t.Errorf("%+v", p)
		}
		if left := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(0, 100) }); len(left) != 6 || left[0].Revision != 5 {
			t.Errorf("left %v", left)
		}
	})
}

// The two engines have one schema, which each says in its own words.
func TestBothEnginesHaveOneSchema(t *testing.T) {
	said := func(engine string) map[string]string {
		files, err := filepath.Glob(filepath.Join("migrations", engine, "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatal(engine, files, err)
		}
		all := make(map[string]string)
		for _, f := range files {
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(string(content)) {
				if line = strings.Join(strings.Fields(strings.ReplaceAll(line, ` collate "C"`, "")), " "); line != "" && !strings.HasPrefix(line, "-- ") && line != "--" {
					lines = append(lines, line)
				}
			}
			all[filepath.Base(f)] = strings.Join(lines, "\n")
		}
		return all
	}
	if diff := cmp.Diff(said("sqlite"), said("postgres")); diff != "" {
		t.Errorf("SQLite's and PostgreSQL's differ (-sqlite +postgres):\n%s", diff)
	}
}

// Text is compared by its bytes on every engine, whatever the locale.
func TestTextIsOrderedByBytes(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(tx *store.Writer) error {
			var err error
			for _, name := range []string{"b", "B", "ä", "a", "z", "a-b", "ab", "nul\x00", "not utf8 \xff"} {
				err = errors.Join(err, tx.PutDirectory(provisioner.Directory{Name: name}))
			}
			return err
		})
		var names []string
		for _, d := range view(t, s, (*store.Reader).Directories) {
			names = append(names, d.Name[:1])
		}
		if got := strings.Join(names, ""); got != "Baaabnnz\xc3" {
			t.Errorf("ordered as %q", got)
		}
		if _, err := store.Read(t.Context(), s, func(tx *store.Reader) (provisioner.Directory, error) { return tx.Directory("nul\x00") }); err != nil {
			t.Error("what was stored with NUL in its name is not found by it: ", err)
		}
	})
}

// While replicas are replaced one after the other, older programs run on the
// schema of the next version, as far back as that says.
func TestAnOlderProgramRunsOnTheNextSchema(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			town(t, open(t, o))
			store.Exec(t, o, `insert into goose_db_version (version_id, is_applied) values (99, $1)`, true)
			again := open(t, o)
			update(t, again, func(tx *store.Writer) error { _, err := laptop(tx, 1); return err })
			store.Exec(t, o, `update schema_support set oldest = $1`, 99)
			if s, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrSchema) {
				t.Errorf("a schema that supports only newer programs: %v, %v", s, err)
			}
		})
	}
}
