package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Readers that hold every connection and run a query nobody has run before do
// not wait for each other for ever.
func TestFirstQueriesSideBySide(t *testing.T) {
	onEach(t, firstQueriesSideBySide)
}

func firstQueriesSideBySide(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const views = 8 // as many as run at once
	var all, done sync.WaitGroup
	all.Add(views)
	for range views {
		done.Go(func() {
			if err := s.View(ctx, func(tx *store.Reader) error {
				all.Done()
				all.Wait()
				_, err := tx.Directories()
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}
