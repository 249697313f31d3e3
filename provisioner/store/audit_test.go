package store_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func sequence(records []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func audited(tx *store.Writer, tenant, id, result string) error {
	return tx.Audit(store.Event{
		Actor: provisioner.System("test"), Tenant: tenant, Action: "revoke device", Object: audit.Object{Kind: "device", ID: id}, Result: result,
	})
}

// Records of many at once stand in one chain a tenant, without gaps, that
// verifies against its head; what was taken back left nothing.
func TestEachTenantHasOneChain(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		var group sync.WaitGroup
		for i := range 90 {
			group.Go(func() {
				_ = s.Update(context.Background(), func(tx *store.Writer) error {
					err := audited(tx, []string{"", "stadt", "kreis"}[i%3], fmt.Sprint(i), "")
					if i%5 == 0 {
						return errors.New("taken back")
					}
					return errors.Join(err, audited(tx, "stadt", "again", ""))
				})
			})
		}
		group.Wait()
		heads := view(t, s, (*store.Reader).AuditHeads)
		var got []string
		for _, h := range heads {
			records := view(t, s, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditRecords(h.Chain, 0, 1000) })
			if _, err := audit.Verify(audit.Head{}, sequence(records), h.Head); err != nil {
				t.Errorf("%q: %v", h.Chain, err)
			}
			got = append(got, fmt.Sprint(h.Chain, " ", len(records)))
		}
		if diff := cmp.Diff([]string{" 24", "kreis 24", "stadt 96"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// The numbers tell the order of all.
		own, tenants, _ := uncollected(t, s, store.Collected{}, 1000)
		var numbers []int64
		for _, r := range slices.Concat(own, tenants) {
			numbers = append(numbers, r.Number)
		}
		slices.Sort(numbers)
		for i, n := range numbers {
			if n != int64(i+1) {
				t.Fatalf("number %d stands in the place of %d", n, i+1)
			}
		}
	})
}

func uncollected(t *testing.T, s *store.Store, c store.Collected, limit int) (own, tenants []store.AuditRecord, checkpoints []store.StoredCheckpoint) {
	t.Helper()
	if err := s.View(t.Context(), func(tx *store.Reader) (err error) {
		own, tenants, checkpoints, err = tx.Uncollected(c, limit)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return own, tenants, checkpoints
}

// A list is the newest first, page by page, in a scope and between two times.
func TestFindAudit(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		var times []time.Time
		for i := range 30 {
			update(t, s, func(tx *store.Writer) error {
				times = append(times, tx.Now.Truncate(time.Millisecond))
				return errors.Join(audited(tx, []string{"", "stadt", "kreis"}[i%3], fmt.Sprint(i), ""), audited(tx, "stadt", fmt.Sprint(i, "b"), ""))
			})
		}
		find := func(q store.AuditQuery, pages int) (ids []string) {
			for range pages {
				page := view(t, s, func(tx *store.Reader) ([]store.AuditRecord, error) { return tx.FindAudit(q) })
				for _, r := range page {
					e, err := r.Event()
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, e.Object.ID)
					q.After = r.Place()
				}
			}
			return ids
		}
		var all, city []string
		for i := 29; i >= 0; i-- {
			all = append(all, fmt.Sprint(i, "b"), fmt.Sprint(i))
			city = append(city, fmt.Sprint(i, "b"))
			if i%3 == 1 {
				city = append(city, fmt.Sprint(i))
			}
		}
		everything := store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 7}
		if diff := cmp.Diff(all, find(everything, 12)); diff != "" {
			t.Errorf("everything (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(city, find(store.AuditQuery{Scope: provisioner.Within("stadt"), Limit: 7}, 12)); diff != "" {
			t.Errorf("of a tenant (-want +got):\n%s", diff)
		}
		if got := find(store.AuditQuery{Limit: 7}, 1); len(got) > 0 {
			t.Errorf("without a scope: %v", got)
		}
		for _, id := range find(store.AuditQuery{Scope: provisioner.Everywhere(), Since: times[10], Until: times[20], Limit: 100}, 1) {
			var n int
			if _, err := fmt.Sscan(id, &n); err != nil {
				_, _ = fmt.Sscanf(id, "%db", &n)
			}
			if times[n].Before(times[10]) || !times[n].Before(times[20]) {
				t.Errorf("%s is of %s, asked for %s to %s", id, times[n], times[10], times[20])
			}
		}
	})
}

// What has been kept long enough loses payload and salt, by class; the chains
// still verify.
func TestEraseAudit(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		var middle time.Time
		for i := range 20 {
			update(t, s, func(tx *store.Writer) error {
				if i == 10 { // times are kept in milliseconds
					middle = tx.Now.Add(time.Second).Truncate(time.Millisecond)
				}
				if i >= 10 {
					tx.Now = tx.Now.Add(time.Second)
				}
				return errors.Join(audited(tx, "", "own", ""), audited(tx, "stadt", "change", ""), audited(tx, "stadt", "refused", "not-allowed"))
			})
		}
		var erased int64
		for n := int64(3); n == 3; {
			update(t, s, func(tx *store.Writer) (err error) {
				n, err = tx.EraseAudit(audit.ClassSecurity, middle, 3)
				erased += n
				return err
			})
		}
		if erased != 10 {
			t.Errorf("%d were erased", erased)
		}
		for chain, want := range map[string]int64{"": 0, "stadt": 10} {
			records := view(t, s, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditRecords(chain, 0, 1000) })
			head := view(t, s, func(tx *store.Reader) (audit.Head, error) { return tx.AuditHead(chain) })
			sum, err := audit.Verify(audit.Head{}, sequence(records), head)
			if err != nil || sum.Erased != want || want > 0 && !sum.LastErased.Before(middle) {
				t.Errorf("%q: %+v, %v", chain, sum, err)
			}
		}
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.EraseAudit(audit.ClassChange, tx.Now.Add(time.Hour), 1000)
			if n != 20 {
				t.Errorf("%d changes were erased", n)
			}
			return err
		})
	})
}

// What a version before wrote of tenants stands in the installation's chain: it
// is found, classified and exported from there.
func TestRecordsOfTheVersionBefore(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o := e.make(t)
			s := open(t, o)
			head := audit.Head{}
			for i, tenant := range []string{"", "stadt", "kreis", "stadt"} {
				r, next, err := head.Append(audit.Event{
					At: time.UnixMilli(int64(1000 + i)), Tenant: tenant, Action: []string{"apply", "sign in"}[i%2], Object: audit.Object{ID: fmt.Sprint(i)},
				}, audit.NewSalt())
				if err != nil {
					t.Fatal(err)
				}
				head = next
				store.AddAudit(t, o, r)
			}
			update(t, s, func(tx *store.Writer) error { return audited(tx, "", "new", "") })
			records := view(t, s, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditRecords("", 0, 100) })
			if _, err := audit.Verify(audit.Head{}, sequence(records), view(t, s, func(tx *store.Reader) (audit.Head, error) { return tx.AuditHead("") })); err != nil || len(records) != 5 {
				t.Errorf("%d records: %v", len(records), err)
			}
			earlier := view(t, s, func(tx *store.Reader) ([]store.EarlierRecord, error) { return tx.EarlierRecords("stadt", 0, 100) })
			if len(earlier) != 2 || earlier[0].Seq != 2 || earlier[0].Before != records[0].Hash || earlier[1].Before != records[2].Hash {
				t.Errorf("earlier: %+v", earlier)
			}
			if found := view(t, s, func(tx *store.Reader) ([]store.AuditRecord, error) {
				return tx.FindAudit(store.AuditQuery{Scope: provisioner.Within("stadt"), Limit: 10})
			}); len(found) != 2 || found[0].Seq != 4 {
				t.Errorf("found: %+v", found)
			}
			update(t, s, func(tx *store.Writer) error {
				if n, err := tx.ClassifyAudit(10); n != 4 || err != nil {
					t.Errorf("classified %d, %v", n, err)
				}
				if n, err := tx.ClassifyAudit(10); n != 0 || err != nil {
					t.Errorf("classified again %d, %v", n, err)
				}
				n, err := tx.EraseAudit(audit.ClassSecurity, tx.Now, 10)
				if n != 2 {
					t.Errorf("erased %d", n)
				}
				return err
			})
		})
	}
}

func TestCheckpoints(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		position := view(t, s, (*store.Reader).Position)
		sign := func() (n int) {
			for _, h := range view(t, s, (*store.Reader).MovedChains) {
				n++
				c := audit.Sign(key, audit.Checkpoint{Installation: position.Instance, At: time.Now(), Heads: []audit.ChainHead{h}})
				update(t, s, func(tx *store.Writer) error { return errors.Join(tx.AddCheckpoint(c), tx.AddCheckpoint(c)) })
				kept := view(t, s, func(tx *store.Reader) (store.StoredCheckpoint, error) { return tx.LastCheckpoint(h.Chain) })
				if diff := cmp.Diff(c, kept.Checkpoint); diff != "" {
					t.Errorf("(-signed +kept):\n%s", diff)
				}
				if err := kept.Check(key.Public().(ed25519.PublicKey)); err != nil {
					t.Error(err)
				}
			}
			return n
		}
		for _, c := range []struct {
			tenants []string
			moved   int
		}{{nil, 0}, {[]string{"", "stadt"}, 2}, {[]string{"kreis", "stadt", "stadt"}, 2}, {nil, 0}} {
			for _, tenant := range c.tenants {
				update(t, s, func(tx *store.Writer) error { return audited(tx, tenant, "x", "") })
			}
			if n := sign(); n != c.moved {
				t.Errorf("after %v %d chains have moved", c.tenants, n)
			}
		}
		_, _, all := uncollected(t, s, store.Collected{}, 10)
		if len(all) != 4 || all[3].Number != 4 {
			t.Errorf("kept %+v", all)
		}
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.ForgetCheckpoints(tx.Now.Add(time.Hour), 10)
			if n != 1 { // each chain's last stays
				t.Errorf("%d were forgotten", n)
			}
			return err
		})
	})
}

func TestCollected(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		waiting := func() (n int64, oldest time.Time) {
			if err := s.View(t.Context(), func(tx *store.Reader) (err error) { n, oldest, err = tx.AuditWaiting(); return err }); err != nil {
				t.Fatal(err)
			}
			return n, oldest
		}
		if n, oldest := waiting(); n != 0 || !oldest.IsZero() {
			t.Error(n, oldest)
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(audited(tx, "", "a", ""), audited(tx, "stadt", "b", ""))
		})
		if n, oldest := waiting(); n != 2 || time.Since(oldest) > time.Minute {
			t.Error(n, oldest)
		}
		for _, c := range []store.Collected{{Seq: 1}, {Seq: 1, Number: 2}} {
			update(t, s, func(tx *store.Writer) error { return tx.SetCollected(c) })
			if got := view(t, s, (*store.Reader).Collected); got != c {
				t.Errorf("%+v", got)
			}
		}
		if n, _ := waiting(); n != 0 {
			t.Error(n)
		}
	})
}

// TestLastEvent finds the newest one about exactly that, in that tenant; what people type is no pattern.
func TestLastEvent(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		list := func(id string) audit.Object { return audit.Object{Kind: "directory list", ID: id} }
		for _, e := range []store.Event{
			{Tenant: "stadt", Action: "first", Object: list("a%1")},
			{Tenant: "stadt", Action: "second", Object: list("a%1")},
			{Tenant: "stadt", Action: "another list", Object: list("a51")},
			{Tenant: "stadt", Action: "named by", Object: audit.Object{Kind: "person", ID: "a%1"}, Reason: "a%1"},
			{Tenant: "dorf", Action: "elsewhere", Object: list("a%1")},
		} {
			update(t, s, func(tx *store.Writer) error { return tx.Audit(e) })
		}
		last := func(tenant, id string) (e audit.Event, err error) {
			err = s.View(t.Context(), func(tx *store.Reader) error { e, err = tx.LastEvent(tenant, list(id)); return err })
			return e, err
		}
		if e, err := last("stadt", "a%1"); err != nil || e.Action != "second" {
			t.Errorf("the last event is %+v, %v", e, err)
		}
		for _, id := range []string{"", "%", "a_1", "a%"} {
			if e, err := last("stadt", id); !errors.Is(err, store.ErrNone) {
				t.Errorf("about %q the last event is %+v, %v", id, e, err)
			}
		}
	})
}
