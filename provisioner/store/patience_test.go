package store_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// What can wait is gathered, goes along with what cannot, and never waits for
// longer than half a second.
func TestWhatCanWaitIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), storetest.SQLite(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		var transactions []time.Duration
		var seen *store.Writer // the writer's goroutine alone uses it
		var group sync.WaitGroup
		put := func(update func(context.Context, func(*store.Writer) error) error) {
			group.Go(func() {
				if err := update(context.Background(), func(tx *store.Writer) error {
					if tx != seen {
						seen = tx
						transactions = append(transactions, time.Since(began))
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for range 30 {
			put(s.UpdatePatiently)
			time.Sleep(time.Millisecond)
		}
		group.Wait()
		if len(transactions) != 1 || transactions[0] != 500*time.Millisecond {
			t.Errorf("30 that can wait were written at %v, want once, after 500 ms", transactions)
		}
		put(s.UpdatePatiently)
		put(s.Update)
		group.Wait()
		if len(transactions) != 2 || transactions[1] != 500*time.Millisecond {
			t.Errorf("one that cannot wait, with one that can: %v", transactions[1:])
		}
	})
}
