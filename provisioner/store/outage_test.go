package store_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	sessions "github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// After an outage that is longer than a lease, laptops have the time of one to
// renew, counted from when writing works again: whoever ends leases goes on
// looking meanwhile, so only the duty knows of the outage.
func TestAnOutageEndsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := store.Impatient(store.Options{Database: storetest.SQLite(t).Database, Logger: slog.New(slog.DiscardHandler)})
		s := open(t, o)
		town(t, s)
		var renews, silent provisioner.Session
		update(t, s, func(tx *store.Writer) error {
			for n, into := range []*provisioner.Session{&renews, &silent} {
				d, err := laptop(tx, n+1)
				if err != nil {
					return err
				}
				if *into, err = session(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		expiry := sessions.New(sessions.Options{Store: s, Logger: slog.New(slog.DiscardHandler)})
		go func() { ended <- expiry.RunExpiry(ctx) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Minute)

		outage(t, s, o, 2*provisioner.Lease+time.Minute)
		time.Sleep(provisioner.Lease - 15*time.Second)
		for _, id := range []string{renews.ID, silent.ID} {
			if !isOpen(t, s, id) {
				t.Error("ended before its laptop had the time of a lease")
			}
		}
		update(t, s, func(tx *store.Writer) error {
			ok, err := tx.ResumeSession(renews.ID, renews.Device, "a", tx.Now.Add(provisioner.Lease), time.Time{})
			if err == nil && !ok {
				err = errors.New("it was not there any more")
			}
			return err
		})
		time.Sleep(time.Minute)
		if !isOpen(t, s, renews.ID) || isOpen(t, s, silent.ID) {
			t.Errorf("a minute after the time of a lease, the one that was renewed is open: %v, and the silent one: %v", isOpen(t, s, renews.ID), isOpen(t, s, silent.ID))
		}
	})
}

// A transaction that changes nothing succeeds on a disk that has turned read-only as well: only one
// that writes shows that it can be written again.
func TestOnlyWritingShowsThatTheOutageIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := store.Impatient(store.Options{Database: storetest.SQLite(t).Database, Logger: slog.New(slog.DiscardHandler)})
		s := open(t, o)
		town(t, s)
		outage(t, s, o, time.Minute)
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf("nobody's", provisioner.CodeSessionClosed)
			if errors.Is(err, store.ErrNone) {
				return nil
			}
			return err
		})
		if s.Writable() {
			t.Error("it has read, and counts as written")
		}
		update(t, s, func(tx *store.Writer) error {
			return tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "stadt-ad"})
		})
		if !s.Writable() {
			t.Error("it was written, and counts as lost")
		}
	})
}

func isOpen(t *testing.T, s *store.Store, id string) bool {
	t.Helper()
	return view(t, s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(id) }).ClosedAt.IsZero()
}

// outage has another process keep the file's lock for some time.
func outage(t *testing.T, s *store.Store, o store.Options, length time.Duration) {
	t.Helper()
	other := open(t, store.Options{Database: o.Database, Logger: o.Logger}) // it waits while the first one writes
	update(t, other, func(*store.Writer) error {
		time.Sleep(length / 2)
		err := s.Update(context.Background(), func(*store.Writer) error { return nil })
		if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != provisioner.CodeDatabaseUnavailable {
			t.Errorf("in the outage a writer is told %v", err)
		}
		time.Sleep(length / 2)
		return nil
	})
}
