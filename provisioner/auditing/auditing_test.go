package auditing_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/auditing"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// keys are two generations; the second signs.
type keys struct{}

func key(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func public(n byte) ed25519.PublicKey { return key(n).Public().(ed25519.PublicKey) }

func (keys) AuditKey() ed25519.PrivateKey { return key(2) }

func (keys) AuditKeys() []ed25519.PublicKey { return []ed25519.PublicKey{public(2), public(1)} }

type world struct {
	store   *store.Store
	service *auditing.Service
	log     *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{log: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	if w.store, err = store.Open(context.Background(), store.Options{Database: storetest.SQLite(t).Database, Logger: log}); err != nil {
		t.Fatal(err)
	}
	w.service = auditing.New(auditing.Options{Store: w.store, Keys: keys{}, Logger: log})
	return w
}

func (w *world) close(t *testing.T) {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Error(err)
	}
}

func (w *world) write(t *testing.T, tenants ...string) {
	t.Helper()
	if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
		for _, tenant := range tenants {
			if err := tx.Audit(store.Event{Actor: provisioner.System("test"), Tenant: tenant, Action: "apply"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// signed are the checkpoints that are kept: chain and number.
func (w *world) signed(t *testing.T) (list []string) {
	t.Helper()
	all, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.StoredCheckpoint, error) { return tx.Checkpoints(0, 1000) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if err := c.Check(public(2)); err != nil {
			t.Error(err)
		}
		list = append(list, fmt.Sprint(c.Heads[0].Chain, " ", c.Heads[0].Seq))
	}
	return list
}

// What has moved is signed within the hour, what has not is not, and the last words are signed
// at the end.
func TestCheckpointsAreSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write(t, "", "stadt", "stadt")
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.service.RunCheckpoints(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(61 * time.Minute)
		if diff := cmp.Diff([]string{" 1", "stadt 2"}, w.signed(t)); diff != "" {
			t.Errorf("after an hour (-want +got):\n%s", diff)
		}
		w.write(t, "stadt", "kreis")
		time.Sleep(61 * time.Minute)
		time.Sleep(61 * time.Minute)
		w.write(t, "")
		stop()
		running.Wait()
		if diff := cmp.Diff([]string{" 1", "stadt 2", "kreis 1", "stadt 3", " 2"}, w.signed(t)); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
		w.close(t)
	})
}

// A checkpoint that we have not signed is not gone on from, which is said once, and others
// are signed all the same.
func TestNothingIsSignedAfterAForgedCheckpoint(t *testing.T) {
	w := newWorld(t)
	defer w.close(t)
	w.write(t, "stadt", "kreis")
	position, err := store.Read(t.Context(), w.store, (*store.Reader).Position)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
		head, err := tx.AuditHead("stadt")
		forged := audit.Sign(key(9), audit.Checkpoint{Installation: position.Instance, At: tx.Now, Heads: []audit.ChainHead{{Chain: "stadt", Head: head}}})
		return errors.Join(err, tx.AddCheckpoint(forged))
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.write(t, "stadt", "kreis")
		if err := w.service.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"stadt"}, w.service.BrokenChains()); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(w.log.String(), "the audit log was changed in the database"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
	head, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (store.StoredCheckpoint, error) { return tx.LastCheckpoint("kreis") })
	if err != nil || head.Heads[0].Seq != 3 {
		t.Errorf("kreis is signed up to %+v, %v", head, err)
	}

	// The export has everything all the same, and its checkpoint nothing of that chain.
	var got received
	actor := provisioner.Actor{ID: "operator", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
	if err := w.service.Export(t.Context(), actor, "", "why?", &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.check.Of("stadt"); ok || len(got.check.Heads) != 2 || got.records["stadt"] != 3 {
		t.Errorf("exported %+v", got)
	}
}

// A checkpoint by a key of before is gone on from.
func TestAFormerKeyIsOurs(t *testing.T) {
	w := newWorld(t)
	defer w.close(t)
	w.write(t, "stadt")
	if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
		head, err := tx.AuditHead("stadt")
		position, posErr := tx.Position()
		former := audit.Sign(key(1), audit.Checkpoint{Installation: position.Instance, At: tx.Now, Heads: []audit.ChainHead{{Chain: "stadt", Head: head}}})
		return errors.Join(err, posErr, tx.AddCheckpoint(former))
	}); err != nil {
		t.Fatal(err)
	}
	w.write(t, "stadt")
	if err := w.service.Checkpoint(t.Context()); err != nil || len(w.service.BrokenChains()) > 0 {
		t.Error(err, w.service.BrokenChains())
	}
	last, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (store.StoredCheckpoint, error) { return tx.LastCheckpoint("stadt") })
	if err != nil || last.Heads[0].Seq != 2 || last.Check(public(2)) != nil {
		t.Errorf("%+v, %v", last, err)
	}
}

// received counts what is exported.
type received struct {
	check   audit.Checkpoint
	records map[string]int
}

func (r *received) Begin(_ string, _ []ed25519.PublicKey, c audit.Checkpoint) error {
	r.check, r.records = c, make(map[string]int)
	return nil
}

func (r *received) Records(chain string, list []audit.Record) error {
	r.records[chain] += len(list)
	return nil
}

func (r *received) Earlier([]auditing.Earlier) error { return nil }
