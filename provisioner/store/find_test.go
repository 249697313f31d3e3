package store_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// somebody makes a person of stadt known, without a device.
func somebody(t testing.TB, s *store.Store, login, name string) (p provisioner.Person) {
	t.Helper()
	update(t, s, func(tx *store.Writer) (err error) {
		p, err = tx.KeepPerson(provisioner.Person{Directory: "stadt-ad", StableID: login, Login: login, DisplayName: name, Mail: login + "@stadt.example"})
		return errors.Join(err, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", ReadAt: tx.Now}))
	})
	return p
}

// owned gives a person a device.
func owned(t testing.TB, s *store.Store, p provisioner.Person, name, serial string, k int) (d provisioner.Device) {
	t.Helper()
	update(t, s, func(tx *store.Writer) error {
		d = provisioner.Device{
			ID: provisioner.NewID(), Tenant: "stadt", Person: p.ID, Generation: 1, Name: name, SerialNumber: serial,
			Platform: "linux", PublicKey: key(k), EnrolledAt: tx.Now,
		}
		return tx.AddDevice(d)
	})
	return d
}

// finds tells who is found, "login:by what", in order.
func finds(t testing.TB, s *store.Store, scope provisioner.Scope, query string) (got []string) {
	t.Helper()
	for _, f := range view(t, s, func(tx *store.Reader) ([]store.FoundPerson, error) { return tx.FindPeople(scope, query, 20) }) {
		got = append(got, f.Person.Login+":"+string(f.MatchedBy))
	}
	return got
}

func TestFindByEverySpelling(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		somebody(t, s, "jm", "Jörg Müller-Weiß")
		somebody(t, s, "rl", "René Lefèvre")
		somebody(t, s, "ls", "Łukasz Sørensen")
		somebody(t, s, "mb", "Bauer, Manuela")
		for login, queries := range map[string][]string{
			"jm": {
				"müller", "mueller", "muller", "MÜLLER", "MUELLER", "Mu\u0308ller", "mülle", "üll", "uell", "weiß", "weiss", "WEISS", "weiß jörg", "jorg muller", "Joerg Weiss",
				"Müller-Weiß", "muller-weiss", "weiß, jörg", "\u200bmüller", "müller\x00weiß", "m w", "jö mü", "müller müller müller", "\"Müller\" <jm@stadt.example>",
			},
			"rl": {"rené", "rene", "RENE", "lefèvre", "lefevre", "LEFÈVRE rene", "rene\u0301", "efèv"},
			"ls": {"Łukasz", "lukasz", "Sørensen", "sorensen", "soerensen"},
			"mb": {"bauer", "auer", "manuela bauer", "Manuela, Bauer", "ela", "uela", "baue", "er, bauer, man", "mb@stadt"},
		} {
			for _, query := range queries {
				want := []string{login + ":name"}
				if strings.Contains(query, "@") {
					want = []string{login + ":mail"}
				}
				got := finds(t, s, provisioner.Within("stadt"), query)
				if strings.HasPrefix(query, "er,") { // two letters begin a word
					want = nil
				} else if strings.HasPrefix(query, "\"") { // name and address copied from a letter: together they are hers
					want = []string{login + ":name"}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%q (-want +got):\n%s", query, diff)
				}
			}
		}
		for _, query := range []string{"", " ", "\t\n", "\x00\x01", "\u200b", "-", "%", "_", "!", "m%r", "m_ller", "mülle!", "\xff", "x", "er", "müller eva", strings.Repeat("ü", 100), strings.Repeat("a b c d e f g h ", 12)} {
			if got := finds(t, s, provisioner.Everywhere(), query); got != nil {
				t.Errorf("%q finds %v", query, got)
			}
		}
	})
}

func TestFindByWhatNamesOneMachine(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		eva, ute := somebody(t, s, "eva", "Eva Schulz"), somebody(t, s, "ute", "Ute Lang")
		d, e := owned(t, s, eva, "NB-Rathaus 17", "5CG-1234 XYZ", 0xabc), owned(t, s, ute, "nb-rathaus-2", "PF2X1977", 2)
		var open, closed provisioner.Session
		update(t, s, func(tx *store.Writer) (err error) {
			if closed, err = session(tx, d); err != nil {
				return err
			}
			_, err = tx.CloseSession(closed, provisioner.CodeSessionClosed)
			return err
		})
		update(t, s, func(tx *store.Writer) (err error) { open, err = session(tx, d); return err })
		update(t, s, func(tx *store.Writer) error { // a key that is dead
			e.Generation, e.PublicKey = 2, key(3)
			return tx.ReplaceDevice(e)
		})
		v4, v6 := address.Aggregate{V4: gateway().AggregateV4, V6: gateway().AggregateV6}.Addresses(open.AddressIndex)
		dead, key64 := key(2), d.PublicKey.String()
		scraps := map[string]string{
			"eva": "eva:name", "EVA@stadt.example": "eva:mail", "eva@": "eva:mail", eva.ID: "eva:person id", strings.ToUpper(eva.ID[:6]): "eva:person id",
			"NB-Rathaus 17": "eva:device name", "nb-rathaus-17": "eva:device name", "rathaus eva": "eva:name", "nbrathaus17": "eva:device name",
			"5CG-1234 XYZ": "eva:serial number", "5cg1234xyz": "eva:serial number", "5CG 1234 XYZ": "eva:serial number", "cg-12": "eva:serial number", "5cg.1234": "eva:serial number",
			"pf2x-1977": "ute:serial number", "PF 2X 19 77": "ute:serial number",
			d.ID: "eva:device id", d.ID[:6]: "eva:device id", open.ID: "eva:session id", closed.ID[:8]: "eva:session id",
			key64: "eva:key", " " + key64 + "\n": "eva:key", hex.EncodeToString(d.PublicKey[:]): "eva:key", strings.ToUpper(hex.EncodeToString(d.PublicKey[:])): "eva:key",
			dead.String(): "ute:key",
			v4.String():   "eva:address", v4.String() + "/32": "eva:address", v6.String(): "eva:address", v6.StringExpanded(): "eva:address",
			strings.ToUpper(v6.StringExpanded()) + "/128": "eva:address", "[" + v6.String() + "]:51820": "eva:address", "::ffff:" + v4.String(): "eva:address",
		}
		delete(scraps, "rathaus eva") // her name and her laptop's, below
		for query, want := range scraps {
			if diff := cmp.Diff([]string{want}, finds(t, s, provisioner.Within("stadt"), query)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", query, diff)
			}
			for name, scope := range map[string]provisioner.Scope{"nobody's": {}, "the neighbour's": provisioner.Within("nachbar", "dorf")} {
				if got := finds(t, s, scope, query); got != nil {
					t.Errorf("%q in %s scope finds %v", query, name, got)
				}
			}
		}
		if got := finds(t, s, provisioner.Everywhere(), "rathaus eva"); !slices.Equal(got, []string{"eva:device name"}) {
			t.Errorf("a name and a laptop: %v", got)
		}
		for _, query := range []string{d.ID[:5], open.ID[:5], "10.80.99.99", "10.80.0.0/16", "192.0.2.1", "fe80::1%eth0", key(9).String(), strings.Repeat("0", 64), strings.Repeat("z", 44)} {
			if got := finds(t, s, provisioner.Everywhere(), query); got != nil {
				t.Errorf("%q finds %v", query, got)
			}
		}
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSession(open, provisioner.CodeSessionClosed)
			return err
		})
		if got := finds(t, s, provisioner.Everywhere(), v4.String()); got != nil {
			t.Errorf("an address that nobody has any more finds %v", got)
		}
	})
}

// What means one person exactly comes first, then what begins a word, then the
// rest; whoever has a device before whoever has none.
func TestFoundPeopleAreRanked(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		exact := somebody(t, s, "lang", "Zoe Zeit")
		somebody(t, s, "b1", "Bea Lange")
		begins := somebody(t, s, "b2", "Tom von Langen")
		somebody(t, s, "c1", "Anna Schlang")
		inside := somebody(t, s, "c2", "Willi Belang")
		other := somebody(t, s, "d1", "Aal Ohne")
		owned(t, s, begins, "nb1", "S1", 1)
		owned(t, s, inside, "nb2", "S2", 2)
		owned(t, s, other, "langsam", "S3", 3)
		want := []string{"lang:login", "b2:name", "b1:name", "d1:device name", "c2:name", "c1:name"}
		for range 3 {
			if diff := cmp.Diff(want, finds(t, s, provisioner.Everywhere(), "Lang")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
		for limit := range len(want) {
			got := view(t, s, func(tx *store.Reader) ([]store.FoundPerson, error) {
				return tx.FindPeople(provisioner.Everywhere(), "lang", limit)
			})
			if len(got) != limit || limit > 0 && got[0].Person.ID != exact.ID {
				t.Errorf("the first %d: %v", limit, got)
			}
		}
		owned(t, s, inside, "nb3", "Lang", 4)
		if got := finds(t, s, provisioner.Everywhere(), "lang"); got[0] != "c2:serial number" || got[1] != "lang:login" {
			t.Errorf("a serial number like a login: %v", got)
		}
	})
}

// Rows that an older program wrote are found by every spelling once the schema
// has been brought up to date.
func TestOlderTextsAreBroughtUpToDate(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			owned(t, s, somebody(t, s, "jm", "René Müller"), "NB 17", "5CG-1 X", 1)
			somebody(t, s, "plain", "Tim Rot")
			text := func() string { return fmt.Sprint(store.SearchTexts(t, o)) }
			want := text()
			store.Exec(t, o, `update person set search = 'rené mueller jm jm@stadt.example' where login = 'jm'`)
			store.Exec(t, o, `update device set search = 'nb 17 5cg-1 x ' || lower(public_key)`)
			migration, err := os.ReadFile(filepath.Join("migrations", e.name, "00010_spellings.sql"))
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range strings.SplitAfter(strings.TrimSpace(string(migration)), ";\n") {
				store.Exec(t, o, statement)
			}
			for query, found := range map[string]string{"rene muller": "jm:name", "nb17": "jm:device name", "5cg1x": "jm:serial number", "rot": "plain:name"} {
				if got := finds(t, s, provisioner.Everywhere(), query); !slices.Equal(got, []string{found}) {
					t.Errorf("%q finds %v; the texts are %v, written now %v", query, got, text(), want)
				}
			}
			if strings.Contains(text(), strings.ToLower(key(1).String())) {
				t.Errorf("a key is left in %v", text())
			}
		})
	}
}
