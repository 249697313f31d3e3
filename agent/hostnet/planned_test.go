package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// errKilled is what a step says before which the process was killed.
var errKilled = errors.New("killed")

// model is a host of which a system is told. It behaves as macOS does where that is stricter: of each network there is one
// route, routes go with the address that they were added with, and nobody is told twice.
type model struct {
	as   traits
	now  sight
	acts int
	// killedAt is the step before which the process is killed. Zero: it is not.
	killedAt int
}

func (m *model) traits() traits { return m.as }

func (m *model) look(_ context.Context, name string) (sight, error) {
	seen := m.now
	seen.there = m.now.there && name == tunnelName
	if !seen.there {
		seen.mtu, seen.first, seen.addresses = 0, false, nil
	}
	seen.addresses, seen.ways = slices.Clone(seen.addresses), slices.Clone(seen.ways)
	return seen, nil
}

func (m *model) lead(uintptr, bool, uint32) error { return nil }

const tunnelName = "hd0"

func (m *model) act(_ context.Context, _ string, s step) error {
	if m.acts++; m.acts == m.killedAt {
		return errKilled
	}
	switch s.verb {
	case adjustLink:
		if s.mtu != 0 {
			m.now.mtu = s.mtu
		}
		m.now.first = s.first
	case addAddress:
		m.now.addresses = append(m.now.addresses, s.prefix)
	case removeAddress:
		m.now.addresses = slices.DeleteFunc(m.now.addresses, func(p netip.Prefix) bool { return p == s.prefix })
		if m.as.oneEach { // and with it the routes
			m.now.ways = slices.DeleteFunc(m.now.ways, func(w path) bool {
				return w.by == tunnelName && w.to.Addr().Is4() == s.prefix.Addr().Is4()
			})
		}
	case addWay, refuse:
		if m.as.oneEach && slices.ContainsFunc(m.now.ways, func(w path) bool { return w.to == s.prefix }) {
			return fmt.Errorf("%s %v: %w", s.verb, s.prefix, syscall.EEXIST)
		}
		w := path{to: s.prefix, by: tunnelName, index: 21, up: true, made: true}
		if s.verb == refuse {
			w.by, w.index, w.refuses = "lo", 1, true
		}
		m.now.ways = append(m.now.ways, w)
	case removeWay, refuseNoMore:
		m.now.ways = slices.DeleteFunc(m.now.ways, func(w path) bool {
			return w.to == s.prefix && w.refuses == (s.verb == refuseNoMore) && (w.refuses || w.by == tunnelName)
		})
	case setNames:
		m.now.named, m.now.names = true, s.names
	case clearNames:
		m.now.named, m.now.names = false, DNS{}
	}
	return nil
}

// gone is what becomes of the interface when its process does.
func (m *model) gone() {
	m.now.there, m.now.mtu, m.now.first, m.now.addresses = false, 0, false, nil
	m.now.ways = slices.DeleteFunc(m.now.ways, func(w path) bool { return w.by == tunnelName })
}

func drawConfig(t *rapid.T, label string) Config {
	some := func(what string, of ...string) []netip.Prefix {
		var list []netip.Prefix
		for _, text := range of {
			if rapid.Bool().Draw(t, label+what+text) {
				list = append(list, netip.MustParsePrefix(text))
			}
		}
		return list
	}
	c := Config{Interface: tunnelName, MTU: rapid.SampledFrom([]int{0, 1380, 1420}).Draw(t, label+" MTU")}
	c.Addresses = some(" address ", "10.80.0.5/32", "10.80.0.9/32", "fd80:1::5/128")
	c.Routes = some(" route ", "10.1.0.0/16", "10.1.2.0/24", "192.168.178.0/24", "fd00:1::/48")
	c.FullTunnel = rapid.Bool().Draw(t, label+" full")
	c.LocalDenied = c.FullTunnel && rapid.Bool().Draw(t, label+" denied")
	if rapid.Bool().Draw(t, label+" names") {
		c.DNS.Servers = []netip.Addr{netip.MustParseAddr("10.1.0.53")}
		c.DNS.Domains = rapid.SampledFrom([][]string{nil, {"stadt.example"}, {"stadt.example", "kreis.example"}}).Draw(t, label+" domains")
	}
	return c
}

func onlyConflicts(err error) error {
	var conflict *ConflictError
	if err == nil || errors.As(err, &conflict) && !errors.Is(err, errKilled) && !errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}

// TestPlannedIsUndone: whatever was set in whatever order, and at whatever step the process was killed, the host is
// afterwards as it was before; and what is set is set, with nothing left to do.
func TestPlannedIsUndone(t *testing.T) {
	all := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		dir := filepath.Join(all, fmt.Sprint(round))
		check(t, os.Mkdir(dir, 0o700))
		as := rapid.SampledFrom([]traits{windowsTraits(), macosTraits()}).Draw(rt, "traits")
		m := &model{as: as, now: sight{ways: slices.Concat(atHome(), refused("10.66.0.0/16"))}}
		before := m.now
		before.ways = slices.Clone(before.ways)
		ctx := context.Background()

		m.now.there, m.now.mtu = true, 1420
		m.killedAt = rapid.IntRange(0, 40).Draw(rt, "killed at")
		p, err := openPlanned(Options{StateDir: dir}, m)
		check(t, err)
		killed := false
		for i := range rapid.IntRange(1, 3).Draw(rt, "times") {
			config := drawConfig(rt, fmt.Sprint(i))
			err := p.Set(ctx, config)
			if killed = errors.Is(err, errKilled); killed {
				break
			}
			if err := onlyConflicts(err); err != nil {
				rt.Fatalf("setting %+v: %v", config, err)
			}
			have, _ := m.look(ctx, tunnelName)
			if left, _ := plan(as, config, have, p.left); len(left) > 0 {
				rt.Fatalf("left to do after setting %+v: %v", config, steps(left))
			}
			if config.LocalDenied && !shadowed(have.ways, netip.MustParseAddr("192.168.178.77")) {
				rt.Fatalf("what is at home is reached after setting %+v: %+v", config, have.ways)
			}
		}
		m.killedAt = 0
		if killed {
			m.gone()
			p, err = openPlanned(Options{StateDir: dir}, m)
			check(t, err)
		}
		if err := p.Clear(ctx); err != nil {
			rt.Fatal(err)
		}
		m.gone()
		if diff := cmp.Diff(before, m.now, cmp.AllowUnexported(sight{}, path{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			rt.Fatalf("the host afterwards (-before +after):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(dir, journalName)); !errors.Is(err, fs.ErrNotExist) {
			rt.Fatalf("the journal is still there: %v", err)
		}
	})
}

// shadowed says whether the most precise way to an address leads through the tunnel, or refuses.
func shadowed(ways []path, to netip.Addr) bool {
	var best path
	for _, w := range ways {
		if w.up && w.to.Contains(to) && (!best.to.IsValid() || w.to.Bits() > best.to.Bits()) {
			best = w
		}
	}
	return best.by == tunnelName || best.refuses
}

// TestPlannedSurvivesKill: what would outlive the interface stands in the journal before it is done.
func TestPlannedSurvivesKill(t *testing.T) {
	for killedAt := 1; ; killedAt++ {
		dir := t.TempDir()
		m := &model{as: macosTraits(), now: sight{there: true, mtu: 1420, ways: atHome()}, killedAt: killedAt}
		p, err := openPlanned(Options{StateDir: dir}, m)
		check(t, err)
		err = p.Set(t.Context(), officeV4(true))
		if killedAt > m.acts {
			check(t, err)
			break
		}
		m.gone()
		m.killedAt = 0
		p, err = openPlanned(Options{StateDir: dir}, m)
		check(t, err)
		check(t, p.Clear(t.Context()))
		if len(m.now.ways) != len(atHome()) || m.now.named {
			t.Fatalf("killed before step %d, this is left: %+v", killedAt, m.now)
		}
	}
}

func TestPlannedWithoutJournal(t *testing.T) {
	m := &model{as: windowsTraits(), now: sight{ways: atHome(), named: true}}
	p, err := openPlanned(Options{StateDir: t.TempDir()}, m)
	check(t, err)
	check(t, p.Clear(t.Context()))
	if m.now.named {
		t.Error("rules with our mark are still there")
	}
	check(t, p.Clear(t.Context()))
	if m.acts != 1 {
		t.Errorf("%d acts for one rule", m.acts)
	}
}

func TestPlannedRefuses(t *testing.T) {
	m := &model{as: windowsTraits(), now: sight{there: true, ways: atHome()}}
	p, err := openPlanned(Options{StateDir: t.TempDir()}, m)
	check(t, err)
	if err := p.Set(t.Context(), Config{Interface: tunnelName, Forward: true}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a gateway: %v", err)
	}
	if err := p.Set(t.Context(), Config{Interface: "other"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interface that is not there: %v", err)
	}
	if m.acts > 0 {
		t.Errorf("%d acts", m.acts)
	}
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, journalName), []byte("{"), 0o600))
	if _, err := openPlanned(Options{StateDir: dir}, m); err == nil {
		t.Error("opened with a damaged journal")
	}
}

func TestOutside(t *testing.T) {
	m := &model{as: windowsTraits(), now: sight{there: true, ways: atHome()}}
	p, err := openPlanned(Options{}, m)
	check(t, err)
	expect := func(to string, want uint32, fails error) {
		t.Helper()
		if got, err := p.Outside(t.Context(), netip.MustParseAddr(to)); got != want || !errors.Is(err, fails) {
			t.Errorf("to %s by %d (%v), want %d (%v)", to, got, err, want, fails)
		}
	}
	expect("203.0.113.1", 0, nil) // no tunnel to go around
	check(t, p.Set(t.Context(), officeV4(true)))
	expect("203.0.113.1", 7, nil)
	expect("::ffff:203.0.113.1", 7, nil)
	expect("127.0.0.1", 0, nil)
	expect("2001:db8::1", 0, syscall.ENETUNREACH)
	check(t, p.Clear(t.Context()))
	expect("2001:db8::1", 0, nil)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
