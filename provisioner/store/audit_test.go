package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Records of many at once stand in one chain that verifies against the head in
// the allocation row; what was taken back left nothing.
func TestAuditRecordsFormOneChain(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				_ = s.Update(context.Background(), func(tx *store.Writer) error {
					err := tx.Audit(store.Event{Actor: provisioner.System("test"), Action: "revoke device", Object: audit.Object{Kind: "device", ID: fmt.Sprint(i)}})
					if i%5 == 0 {
						return errors.New("taken back")
					}
					return err
				})
			})
		}
		group.Wait()
		records := view(t, s, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditRecords(0, 100) })
		head := view(t, s, (*store.Reader).AuditHead)
		if len(records) != 40 || head.Seq != 40 {
			t.Fatalf("%d records, head at %d", len(records), head.Seq)
		}
		at := audit.Head{}
		for _, r := range records {
			e, err := r.Event()
			if err != nil {
				t.Fatal(err)
			}
			again, next, err := at.Append(e, audit.Salt(r.Salt))
			if err != nil || again.Hash != r.Hash {
				t.Fatalf("record %d does not follow from the one before: %v", r.Seq, err)
			}
			at = next
		}
		if at != head {
			t.Errorf("the chain ends at %v, the head says %v", at, head)
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
