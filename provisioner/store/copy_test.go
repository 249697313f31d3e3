package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func newFile(t testing.TB) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "copy")
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// A copy that is made while somebody writes is one state: the revision that it
// says, every change up to it, none after.
func TestACopyIsOneState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heimdraht.db")
	s := open(t, store.Options{Database: path})
	town(t, s)
	record := func() {
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "stadt", Device: "d"})
			return err
		})
	}
	for range 50 {
		record()
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				record()
			}
		}
	}()
	to, steps := newFile(t), 0
	err := store.Copy(t.Context(), path, to, func(done, total int) {
		steps++
		if done > total || total == 0 {
			t.Errorf("%d of %d pages", done, total)
		}
		record() // between two steps, too
	})
	close(stop)
	<-ended
	if err != nil || steps == 0 {
		t.Fatal(steps, err)
	}
	content, err := store.Inspect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	here := view(t, s, (*store.Reader).Position)
	if content.Epoch != here.Epoch || content.Instance != here.Instance || content.Revision < 50 || content.Revision > here.Revision {
		t.Errorf("the copy holds %+v, the database %+v", content, here)
	}
	copied := open(t, store.Options{Database: to})
	if at := view(t, copied, (*store.Reader).Position); at.Revision != content.Revision {
		t.Errorf("it says %d and stands at %d", content.Revision, at.Revision)
	}
	list := view(t, copied, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(0, 1<<20) })
	if int64(len(list)) != content.Revision {
		t.Errorf("%d changes, and revision %d", len(list), content.Revision)
	}
}

func TestACopyEndsWhenItIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heimdraht.db")
	town(t, open(t, store.Options{Database: path}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Copy(ctx, path, newFile(t), func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heimdraht.db")
	s := open(t, store.Options{Database: path})
	town(t, s)
	opened(t, s, 100)
	good := newFile(t)
	if err := store.Copy(t.Context(), path, good, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		want  error
	}{
		"cut off":     {func(b []byte) []byte { return b[:len(b)/2] }, store.ErrDamaged},
		"overwritten": {func(b []byte) []byte { copy(b[len(b)/2:], make([]byte, 8192)); return b }, store.ErrDamaged},
		"text":        {func([]byte) []byte { return []byte("no database at all, but long enough to be looked at\n") }, store.ErrDamaged},
		"empty":       {func([]byte) []byte { return nil }, store.ErrNoDatabase},
	} {
		bad := newFile(t)
		if err := os.WriteFile(bad, c.spoil(append([]byte(nil), content...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Inspect(t.Context(), bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := store.Inspect(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// TestCopyInAProcessOfItsOwn is that process, for the benchmark.
func TestCopyInAProcessOfItsOwn(t *testing.T) {
	from, to := os.Getenv("COPY_FROM"), os.Getenv("COPY_TO")
	if from == "" {
		return
	}
	if err := store.Copy(t.Context(), from, to, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCopy copies, in another process, a database of 29,000 devices and 200,000 changes while
// somebody writes all the time, and reports the writer's longest wait with and
// without it.
func BenchmarkCopy(b *testing.B) {
	path := filepath.Join(b.TempDir(), "heimdraht.db")
	s := open(b, store.Options{Database: path})
	town(b, s)
	for first := 0; first < 29_000; first += 500 {
		update(b, s, func(tx *store.Writer) error {
			for n := first; n < first+500; n++ {
				d, err := laptop(tx, n)
				for i := 0; i < 7 && err == nil; i++ {
					_, err = tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "stadt", Device: d.ID})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, copying := range []bool{false, true} {
		b.Run(fmt.Sprintf("copying=%t", copying), func(b *testing.B) {
			var longest time.Duration
			var size int64
			writes := 0
			for b.Loop() {
				done := make(chan error, 1)
				go func() {
					if !copying {
						<-time.After(2 * time.Second)
						done <- nil
						return
					}
					to := newFile(b)
					self, err := os.Executable()
					if err == nil {
						c := exec.CommandContext(b.Context(), self, "-test.run=^TestCopyInAProcessOfItsOwn$")
						c.Env = append(os.Environ(), "COPY_FROM="+path, "COPY_TO="+to)
						err = c.Run()
					}
					if info, e := os.Stat(to); e == nil {
						size = info.Size()
					}
					done <- err
				}()
				for running := true; running; writes++ {
					began := time.Now()
					update(b, s, func(tx *store.Writer) error {
						_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "stadt", Device: "d"})
						return err
					})
					longest = max(longest, time.Since(began))
					select {
					case err := <-done:
						if running = false; err != nil {
							b.Fatal(err)
						}
					default:
					}
				}
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-write")
			b.ReportMetric(float64(writes)/b.Elapsed().Seconds(), "writes/s")
			b.ReportMetric(float64(size)/(1<<20), "MB")
		})
	}
}
