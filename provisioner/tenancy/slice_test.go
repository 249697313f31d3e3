package tenancy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// many tenants are more than one slice holds.
const many = 120

func (w *world) begins(t *testing.T, d tenancy.Declaration) tenancy.Applying {
	t.Helper()
	a, err := w.Begin(operator(), d)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) next(t *testing.T, a tenancy.Applying) (finished bool) {
	t.Helper()
	finished, err := a.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return finished
}

func (w *world) differs(t *testing.T, d tenancy.Declaration) []tenancy.Difference {
	t.Helper()
	list, err := w.Diff(context.Background(), operator(), d)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// One who is killed after any slice leaves the beginning of the declaration, and
// applying it again goes on behind it.
func TestAnInterruptedImportIsFinishedByApplyingAgain(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		d := country(many)
		left := w.differs(t, d)
		all, slicesDone := len(left), 0
		for finished := false; !finished; slicesDone++ {
			a := w.begins(t, d) // as after a restart
			finished = w.next(t, a)
			now := w.differs(t, d)
			if a.Written() == 0 || cmp.Diff(left[a.Written():], now) != "" && len(now) > 0 {
				t.Fatalf("after %d written of %d, %d are left", a.Written(), len(left), len(now))
			}
			left = now
		}
		if len(left) > 0 || slicesDone < 4 || len(w.events(t)) != all {
			t.Errorf("%d slices; %d differences left; %d records of %d changes", slicesDone, len(left), len(w.events(t)), all)
		}
		if more := w.applies(t, d); len(more) > 0 {
			t.Errorf("applied again: %v", more)
		}
	})
}

func TestRecordsOfAnImportBelongTogether(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	w.applies(t, country(many))
	left, id := many+1+16+1, ""
	for _, payload := range w.events(t)[6:] {
		e, err := audit.DecodeEvent([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		rest, err := strconv.Atoi(e.Details["still_to_come"])
		if err != nil || rest > left || id != "" && e.Details["import"] != id {
			t.Fatalf("after %d still to come in %q: %v, %v", left, id, e.Details, err)
		}
		left, id = rest, e.Details["import"]
	}
	if left != 0 || id == "" {
		t.Errorf("the last record of %q says that %d are to come", id, left)
	}
	for _, line := range w.events(t)[:6] {
		var e struct{ Details map[string]string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Details["import"] != "" {
			t.Errorf("a declaration that fits into one slice: %s", line)
		}
	}
}

// What stands between two slices is sound, also where networks and domains go from
// one tenant to another that is written much later.
func TestSlicesDoNotContradictEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		d := country(many)
		w.applies(t, d)
		for i := range d.Tenants {
			d.Tenants[i].Land = "BY"
		}
		swap(d.Tenants, 2, many-10, func(a, b *provisioner.Tenant) { a.Networks, b.Networks = b.Networks, a.Networks })
		swap(d.Tenants, 1, many-9, func(a, b *provisioner.Tenant) { a.MailDomains, b.MailDomains = b.MailDomains, a.MailDomains })
		a := w.begins(t, d)
		for finished, n := false, 1; !finished; n++ {
			finished = w.next(t, a)
			if err := w.Sound(t.Context()); err != nil {
				t.Fatalf("after slice %d: %v", n, err)
			}
		}
		if left := w.differs(t, d); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		tenant := read(t, w, func(tx *store.Reader) (string, error) { return tx.TenantOfMailDomain(d.Tenants[1].MailDomains[0]) })
		if tenant != d.Tenants[1].Name {
			t.Errorf("the domain leads to %s", tenant)
		}
	})
}

func swap(list []provisioner.Tenant, i, j int, what func(a, b *provisioner.Tenant)) {
	what(&list[i], &list[j])
}

// What a change of a few objects writes is one transaction, however large the
// declaration around it is: one tenant more on all gateways.
func TestTheDailyChangeIsOneTransaction(t *testing.T) {
	w := newWorld(t)
	w.applies(t, country(many))
	a := w.begins(t, country(many+1))
	if !w.next(t, a) || a.Written() != 1+1+16 {
		t.Errorf("%d of 18 changes were written", a.Written())
	}
}

// Whatever is declared between comparing and writing is compared again.
func TestNothingIsWrittenUponAnOldComparison(t *testing.T) {
	prefix := netip.MustParsePrefix
	for name, change := range map[string]func(*tenancy.Declaration){
		"directory": func(d *tenancy.Declaration) { d.Directories[0].Base = "DC=x" },
		"tenant":    func(d *tenancy.Declaration) { d.Tenants[0].Networks[0].Allow[0].Prefix = prefix("10.3.0.0/16") },
		"pool":      func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Seats++ },
		"gateway":   func(d *tenancy.Declaration) { d.Gateways[0].Sessions++ },
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.applies(t, region())
				d := region()
				d.Tenants[1].Networks[0].Allow[0].Prefix = prefix("10.3.0.0/16")
				a := w.begins(t, tenancy.Declaration{Tenants: d.Tenants[1:]})
				other := region()
				change(&other)
				finished, err := a.Late(t.Context(), func() { w.applies(t, other) })
				if err != nil || finished || a.Written() != 0 {
					t.Fatalf("finished %v, %v, %d written", finished, err, a.Written())
				}
				err = a.Finish(t.Context())
				if want := map[bool]provisioner.Code{true: provisioner.CodeDeclarationInvalid}[name == "tenant"]; codeOf(err) != want {
					t.Errorf("compared again: %v", err)
				}
				if err := w.Sound(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A refusal after the first slice does not say that nothing was changed.
func TestRefusedHalfWay(t *testing.T) {
	w := newWorld(t)
	d := country(many)
	a := w.begins(t, d)
	w.next(t, a)
	other := country(1)
	other.Gateways = other.Gateways[:1]
	other.Gateways[0].Name, other.Gateways[0].AggregateV4 = "other", netip.MustParsePrefix("10.15.0.0/17")
	w.applies(t, tenancy.Declaration{Gateways: other.Gateways})
	if err := a.Finish(t.Context()); codeOf(err) != provisioner.CodeApplyUnfinished {
		t.Fatalf("got %v", err)
	}
	if _, err := w.Apply(t.Context(), operator(), d, "again"); codeOf(err) != provisioner.CodeDeclarationInvalid {
		t.Errorf("again: %v", err)
	}
	d.Gateways = slices.DeleteFunc(d.Gateways, func(g provisioner.Gateway) bool { return g.Name == "gw15" })
	w.applies(t, d)
}

// Whoever went away after the first slice does not leave the rest undone.
func TestAnImportOutlivesItsCaller(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	a := w.begins(t, country(many))
	w.next(t, a)
	cancel()
	if err := a.Finish(ctx); err != nil {
		t.Error(err)
	}
	if left := w.differs(t, country(many)); len(left) > 0 {
		t.Errorf("%d are left", len(left))
	}
}

// Nor does one who goes away when a slice was written keep sessions astray.
func TestSessionsAreClosedThoughTheCallerWentAway(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	session := w.opens(t)
	g := region().Gateways[0]
	g.Tenants = []string{"dorf"}
	if err := w.store.Update(t.Context(), func(tx *store.Writer) error { return tx.PutGateway(g) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.CloseAstray(ctx, g.Name); err != nil {
		t.Error(err)
	}
	if s := read(t, w, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(session.ID) }); s.ClosedAt.IsZero() {
		t.Error("the gateway serves the tenant no longer, and the session is open")
	}
}

// Comparing, and applying what is so already, wait for nobody who writes.
func TestComparingNeedsNoWriter(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.applies(t, region())
		begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- w.store.Update(context.Background(), func(*store.Writer) error { close(begun); <-end; return nil })
		}()
		<-begun
		d := region()
		d.Pools[0].Contracts[0].Seats++
		if list := w.differs(t, d); len(list) != 1 {
			t.Errorf("differences %v", list)
		}
		if list := w.applies(t, region()); len(list) > 0 {
			t.Errorf("applying changed %v", list)
		}
		close(end)
		if err := <-done; err != nil {
			t.Error(fmt.Errorf("the one who wrote: %w", err))
		}
	})
}
