package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// command runs the program to its end and gives what it wrote to standard
// output.
func (l *load) command(args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	var out, said bytes.Buffer
	c := &exec.Cmd{Path: self, Args: append([]string{"heimdrahtd", "--config", l.config}, args...), Env: childEnvironment(), Stdout: &out, Stderr: &said}
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", args[0], err, said.String())
	}
	return out.String(), nil
}

func (l *load) must(args ...string) string {
	l.t.Helper()
	out, err := l.command(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// signIn signs the operator in with a new one-time token.
func (l *load) signIn() {
	l.t.Helper()
	fields := strings.Fields(l.must("operator-token"))
	l.Redeem(fields[len(fields)-1])
}

// fate is what was answered of a device, and what was asked without an answer.
type fate struct {
	provisionertest.Laptop

	login, serial string
	former        []provisionertest.Laptop // replaced, as was answered

	revoked, suspended bool // answered
	open               bool // something was asked that was not answered
}

// onEach runs a test on both engines.
func onEach(t *testing.T, people int, test func(*testing.T, *load)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel() // with the other: much of it is waiting
		test(t, newLoad(t, people))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		d := postgrestest.New(t)
		test(t, newLoadOn(t, people, &d))
	})
}

// TestNothingTakenComesBack backs up under load, kills the control plane under
// load, restores, and holds that no device is usable that was revoked, none that
// was suspended, and none that was replaced, however far before or after the
// backup; and that the others are.
func TestNothingTakenComesBack(t *testing.T) { onEach(t, 4000, nothingTakenComesBack) }

func nothingTakenComesBack(t *testing.T, l *load) {
	const (
		rounds  = 2
		workers = 4
	)
	seed := *killSeed
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	fates := make([][]*fate, workers)
	for round := range rounds {
		l.start()
		l.signIn()
		l.gateway.Run()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() {
				l.live(ctx, rand.New(rand.NewPCG(seed, uint64(100+round*workers+w))), &fates[w])
			})
		}
		l.answered(20 + random.IntN(60))
		backup := filepath.Join(t.TempDir(), "backup")
		l.must("backup", "--to", backup)
		l.before(func() { l.reached, l.enough = make(chan struct{}), -1 })
		l.answered(l.answers + 20 + random.IntN(60))
		<-time.After(time.Duration(random.IntN(5000)) * time.Microsecond)
		l.kill()
		cancel()
		group.Wait()
		l.gateway.Stop()
		t.Log(l.must("restore", "--from", backup, "--replace"))
		l.start()
		l.signIn()
		l.gateway.Run()
		l.fates(fates)
		l.gateway.Stop()
		if err := l.process.terminate(); err != nil {
			t.Error(err)
		}
		l.process = nil
	}
}

// live enrols laptops and takes from them, until the control plane is gone.
func (l *load) live(ctx context.Context, random *rand.Rand, mine *[]*fate) {
	conn := l.DialFrom(fmt.Sprintf("127.0.2.%d", 1+random.IntN(250)), nil)
	defer conn.Close()
	desk := heimdrahtv1.NewHelpdeskServiceClient(conn)
	as := provisionertest.As(ctx, l.Operator)
	enrol := func(f *fate) (provisionertest.Laptop, error) {
		return provisionertest.TryEnrol(ctx, conn, provisionertest.NewLaptop(l.t), f.login, f.serial)
	}
	for ctx.Err() == nil {
		what := random.IntN(10)
		var f *fate
		if len(*mine) > 0 {
			f = (*mine)[random.IntN(len(*mine))]
		}
		if what < 4 || f == nil || f.revoked || f.open {
			var n int
			l.before(func() { n = l.people; l.people++ })
			f = &fate{login: provisionertest.Login(n), serial: fmt.Sprint("RS", n)}
			laptop, err := enrol(f)
			if !l.note("enrolling", err, func() { f.Laptop = laptop; *mine = append(*mine, f) }) {
				return
			}
			continue
		}
		l.before(func() { f.open = true })
		var err error
		var done func()
		switch {
		case what < 6:
			_, err = desk.RevokeDevice(as, &heimdrahtv1.RevokeDeviceRequest{DeviceId: f.ID, Reason: "test", Emergency: true})
			done = func() { f.revoked = true }
		case what < 8:
			_, err = desk.SuspendDevice(as, &heimdrahtv1.SuspendDeviceRequest{DeviceId: f.ID, Reason: "test", Emergency: true})
			done = func() { f.suspended = true }
		case what == 8:
			_, err = desk.RestoreDevice(as, &heimdrahtv1.RestoreDeviceRequest{DeviceId: f.ID, Reason: "test", Emergency: true})
			done = func() { f.suspended = false }
		default:
			var laptop provisionertest.Laptop
			laptop, err = enrol(f)
			done = func() { f.former = append(f.former, f.Laptop); f.Laptop = laptop }
		}
		if !l.note("taking", err, func() { done(); f.open = false }) {
			return
		}
	}
}

// fates holds every device against what was answered of it.
func (l *load) fates(all [][]*fate) {
	l.t.Helper()
	usable, dead := 0, 0
	for _, list := range all {
		for _, f := range list {
			for _, former := range f.former {
				if answer, err := l.attempt(former.Certificate, ""); err == nil {
					l.t.Errorf("device %s: a replaced laptop is told %v", f.ID, answer)
				}
			}
			answer, err := l.attempt(f.Certificate, "")
			switch {
			case (f.revoked || f.suspended && !f.open) && err == nil:
				l.t.Errorf("device %s (revoked %t, suspended %t) is told %v", f.ID, f.revoked, f.suspended, answer)
			case f.revoked || f.suspended:
				dead++
			case err == nil:
				usable++
			}
			// It may be unknown now, or what was asked without an answer may have been
			// done: from here on it stays as it is.
			f.revoked, f.open = f.revoked || err != nil, false
		}
	}
	l.t.Logf("%d devices usable, %d not", usable, dead)
	if usable == 0 || dead == 0 {
		l.t.Error("the load was too small")
	}
}

// TestRestoreKilled kills the restore at random moments: what is there
// afterwards is the former database or the new one, whole, and serves.
func TestRestoreKilled(t *testing.T) { onEach(t, 100, restoreKilled) }

func restoreKilled(t *testing.T, l *load) {
	random := rand.New(rand.NewPCG(*killSeed, 2))
	backup := filepath.Join(t.TempDir(), "backup")
	l.must("backup", "--to", backup)
	l.start()
	l.signIn()
	revoked := l.Enrol(provisionertest.Login(1), "K1")
	kept := l.Enrol(provisionertest.Login(2), "K2")
	if _, err := heimdrahtv1.NewHelpdeskServiceClient(l.Dial(nil)).RevokeDevice(provisionertest.As(t.Context(), l.Operator),
		&heimdrahtv1.RevokeDeviceRequest{DeviceId: revoked.ID, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	l.kill()
	began := time.Now()
	twin := filepath.Join(t.TempDir(), "backup")
	l.must("backup", "--to", twin) // holds both devices
	took := time.Since(began)
	former, restored := 0, 0
	kills := 8
	if l.database.Password != "" {
		kills = 4 // a server takes longer for everything
	}
	for range kills {
		before := l.epoch()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := &exec.Cmd{Path: self, Args: []string{"heimdrahtd", "--config", l.config, "restore", "--from", twin, "--replace"}, Env: childEnvironment()}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(took/4 + time.Duration(random.Int64N(int64(2*took))))
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()
		l.start() // finishes what was decided
		l.kill()
		if l.epoch() == before {
			former++
		} else {
			restored++
		}
		l.audit("after a restore was killed")
	}
	t.Logf("%d times the former database, %d times the new one", former, restored)
	l.start()
	if _, err := l.attempt(revoked.Certificate, ""); err == nil {
		t.Error("the revoked device is back")
	}
	l.gateway.Run()
	if _, err := l.attempt(kept.Certificate, ""); err != nil {
		t.Errorf("the other device: %v", err)
	}
	l.gateway.Stop()
	l.kill()
}

func (l *load) epoch() (epoch string) {
	l.t.Helper()
	l.view(func(tx *store.Reader) error {
		position, err := tx.Position()
		epoch = position.Epoch
		return err
	})
	return epoch
}
