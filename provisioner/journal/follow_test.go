package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// plane is a database and whoever follows it.
type plane struct {
	*store.Store
	t        *testing.T
	follower *Follower
	poked    atomic.Pointer[Follower]
	stop     func()
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	p := &plane{t: t}
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Database: storetest.File(t, filepath.Join(dir, "db")), Logger: slog.New(slog.DiscardHandler), Changed: func(store.Commit) {
		if f := p.poked.Load(); f != nil {
			f.Poke()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p.Store = s
	p.update(func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "d"}); err != nil {
			return err
		}
		if err := tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "d"}); err != nil {
			return err
		}
		_, err := tx.KeepPerson(provisioner.Person{Directory: "d", StableID: "1", Login: "eva"})
		return err
	})
	return p
}

func (p *plane) update(do func(*store.Writer) error) {
	p.t.Helper()
	if err := p.Update(p.t.Context(), do); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plane) revoke(id string) (revision int64) {
	p.t.Helper()
	p.update(func(tx *store.Writer) error {
		d := p.add(tx, id)
		_, err := tx.RevokeDevice(d, "Evas Laptop ist weg")
		revision = tx.Revision()
		return err
	})
	return revision
}

func (p *plane) add(tx *store.Writer, id string) provisioner.Device {
	person, err := tx.KeepPerson(provisioner.Person{Directory: "d", StableID: "1", Login: "eva", DisplayName: "Eva Müller"})
	if err != nil {
		p.t.Error(err)
	}
	d := provisioner.Device{ID: id, Tenant: "stadt", Person: person.ID, Generation: 1, Name: "Evas Laptop"}
	copy(d.PublicKey[:], id+"                                ")
	if err := tx.AddDevice(d); err != nil {
		p.t.Error(err)
	}
	return d
}

func (p *plane) follow(dir string) {
	p.follower = New(Options{Store: p.Store, Dir: dir, Name: "a", Keep: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	f := p.follower
	p.poked.Store(f)
	go func() { ended <- f.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
}

// said is what the file says, by the last word of each device.
func (p *plane) said(dir string) map[string]bool {
	p.t.Helper()
	read, err := Read(filepath.Join(dir, "a.journal"))
	if err != nil || len(read.Damage) > 0 {
		p.t.Fatal(read.Damage, err)
	}
	revoked := make(map[string]bool)
	for _, f := range read.Frames {
		for _, d := range f.Devices {
			revoked[d.ID] = d.Revoked
		}
	}
	return revoked
}

// What was awaited is in the file, names are not, and whoever comes later goes
// on where the file ends.
func TestFollow(t *testing.T) {
	p := newPlane(t)
	dir := filepath.Join(t.TempDir(), "journal")
	p.revoke("before")
	p.follow(dir)
	if !p.follower.Await(t.Context(), p.revoke("first")) {
		t.Fatal("not in the journal")
	}
	if got := p.said(dir); !got["before"] || !got["first"] {
		t.Errorf("it says %v", got)
	}
	text := string(content(t, p.follower.Path()))
	for _, name := range []string{"Eva", "eva", "Laptop", "Müller"} {
		if strings.Contains(text, name) {
			t.Errorf("it names %q", name)
		}
	}
	p.stop()
	p.revoke("meanwhile") // nobody follows
	lines := strings.Count(string(content(t, p.follower.Path())), "\n")
	p.follow(dir)
	if !p.follower.Await(t.Context(), p.revoke("second")) {
		t.Fatal("not in the journal")
	}
	p.stop()
	if got := p.said(dir); !got["meanwhile"] || !got["second"] {
		t.Errorf("it says %v", got)
	}
	if more := strings.Count(string(content(t, p.follower.Path())), "\n") - lines; more > 3 {
		t.Errorf("%d frames: it did not go on where the file ended", more)
	}
}

// Who was forgotten is in the journal, also with a laptop that was revoked while
// nobody followed and is not there any more; and so in one that begins anew.
func TestFollowWhoIsForgotten(t *testing.T) {
	p := newPlane(t)
	dir := filepath.Join(t.TempDir(), "journal")
	p.follow(dir)
	p.revoke("first")
	p.stop()
	p.revoke("gone")
	var eva string
	var revision int64
	p.update(func(tx *store.Writer) error {
		d, err := tx.Device("gone")
		if err != nil {
			return err
		}
		person, err := tx.Person(d.Person)
		if err != nil {
			return err
		}
		eva = person.ID
		err = tx.ForgetEverything(store.Subject{Person: person, Tenant: "stadt"})
		revision = tx.Revision()
		return err
	})
	for _, dir := range []string{dir, filepath.Join(t.TempDir(), "anew")} {
		p.follow(dir)
		if !p.follower.Await(t.Context(), revision) {
			t.Fatal("not in the journal")
		}
		p.stop()
		read, err := Read(p.follower.Path())
		if err != nil || len(read.Damage) > 0 {
			t.Fatal(read.Damage, err)
		}
		first := read.Frames[0]
		got := Since([]File{read}, first.Instance, first.Epoch, map[string]int64{first.Epoch: 0})
		if len(got.Forgotten) != 1 || got.Forgotten[0] != (Forgotten{eva, "stadt"}) {
			t.Errorf("%s says that %v were forgotten", dir, got.Forgotten)
		}
		if known := Since([]File{read}, first.Instance, first.Epoch, map[string]int64{first.Epoch: revision}); len(known.Forgotten) != 0 {
			t.Errorf("what the database knows is said again: %v", known.Forgotten)
		}
	}
}

// Changes that were trimmed while nobody followed are made up for.
func TestFollowBehindTheHorizon(t *testing.T) {
	p := newPlane(t)
	dir := filepath.Join(t.TempDir(), "journal")
	p.follow(dir)
	if !p.follower.Await(t.Context(), p.revoke("first")) {
		t.Fatal("not in the journal")
	}
	p.stop()
	p.revoke("trimmed")
	p.update(func(tx *store.Writer) error { _, err := tx.TrimChanges(tx.Revision(), 1000); return err })
	p.follow(dir)
	if !p.follower.Await(t.Context(), p.revoke("last")) {
		t.Fatal("not in the journal")
	}
	p.stop()
	if got := p.said(dir); !got["trimmed"] || !got["last"] {
		t.Errorf("it says %v", got)
	}
}

// A journal that cannot be written holds nobody up, says so, and is made up for
// when it can be written again.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlane(t)
		dir := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file stands in its place
			t.Fatal(err)
		}
		p.follow(dir)
		began := time.Now()
		if p.follower.Await(t.Context(), p.revoke("a")) {
			t.Error("it says that it is in the journal")
		}
		if waited := time.Since(began); waited > awaitMost {
			t.Errorf("somebody waited for %v", waited)
		}
		if _, failure := p.follower.State(); failure == nil {
			t.Error("it says that all is well")
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retryMost)
		synctest.Wait()
		if _, failure := p.follower.State(); failure != nil {
			t.Errorf("it still says %v", failure)
		}
		if !p.follower.Await(t.Context(), p.revoke("b")) || !p.said(dir)["a"] {
			t.Errorf("it says %v", p.said(dir))
		}
		p.stop()
	})
}

func TestReadAllWants(t *testing.T) {
	if _, err := ReadAll([]string{filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a place that is not there: %v", err)
	}
	dir := t.TempDir()
	if files, err := ReadAll([]string{dir}); err != nil || len(files) != 0 {
		t.Errorf("an empty directory: %v, %v", files, err)
	}
	path := written(t, taken(1))
	files, err := ReadAll([]string{path, filepath.Dir(path)})
	if err != nil || len(files) != 1 {
		t.Errorf("the same file by two ways: %v, %v", fmt.Sprint(files), err)
	}
}
