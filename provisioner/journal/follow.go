package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// pollEvery is the backstop behind lost wake-ups, and how soon another
	// replica's changes are seen.
	pollEvery = time.Second
	// markEvery is how often the place is noted while nothing is taken, so that
	// a journal that has come along is told from one that nobody writes.
	markEvery = time.Minute
	// awaitMost bounds what a revocation waits for its frame.
	awaitMost = 2 * time.Second
	// pruneEvery is how often what is old is deleted.
	pruneEvery = 24 * time.Hour
	// readAtOnce is how many changes, or devices, one frame is made of.
	readAtOnce = 1000
	// Between two tries to write a journal that cannot be written.
	retryLeast = time.Second
	retryMost  = 30 * time.Second
)

// Options say what is written where.
type Options struct {
	Store  *store.Store
	Dir    string        // made if it is not there
	Name   string        // of this writer: a file name
	Keep   time.Duration // frames older than this are deleted
	Logger *slog.Logger
}

// Follower writes the journal of a running control plane: it follows the
// changes, and after a failure or a crash goes on where the file ends.
type Follower struct {
	Options
	poke chan struct{}

	// Of Run alone.
	journal *Journal
	at      place
	marked  time.Time
	pruned  time.Time

	mu      sync.Mutex
	upto    int64         // how far it has come, once that is known
	failure error         // why nothing can be written at present; nil: all is well
	moved   chan struct{} // closed and replaced when upto or failure change
}

// place is how far the journal has come. A zero epoch: nothing is known.
type place struct {
	epoch string
	upto  int64
}

// errNotBegun is why a journal whose Run has not begun yet has nothing.
var errNotBegun = errors.New("not begun yet")

// New makes a follower; Run makes it follow.
func New(o Options) *Follower {
	return &Follower{Options: o, poke: make(chan struct{}, 1), failure: errNotBegun, moved: make(chan struct{})}
}

// Path is the file that is written.
func (f *Follower) Path() string { return filepath.Join(f.Dir, f.Name+suffix) }

// Poke says that the revision moved. It never blocks.
func (f *Follower) Poke() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// State tells how far the journal has come, and why nothing can be written at
// present; nil: all is well.
func (f *Follower) State() (upto int64, failure error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.upto, f.failure
}

// Await waits until everything up to a revision is in the journal. It does not
// wait long, and not at all while the journal cannot be written: then it says
// so in the log, and reports false.
func (f *Follower) Await(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	for {
		f.mu.Lock()
		upto, failure, moved := f.upto, f.failure, f.moved
		f.mu.Unlock()
		if upto >= revision {
			return true
		}
		if failure != nil && !errors.Is(failure, errNotBegun) || ctx.Err() != nil {
			f.Logger.Error("what was taken is not in the revocation journal yet; a restored backup would give it back", "revision", revision, "journal", f.Path(), "why", failure)
			return false
		}
		select {
		case <-ctx.Done():
		case <-moved:
		}
	}
}

func (f *Follower) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.moved)
	f.moved = make(chan struct{})
}

// Run follows until ctx ends, and then once more.
func (f *Follower) Run(ctx context.Context) error {
	defer func() {
		if f.journal != nil {
			_ = f.journal.Close() // what was appended is on disk
		}
	}()
	retry := retryLeast
	for {
		last := ctx.Err() != nil
		err := f.follow(context.WithoutCancel(ctx), last)
		f.report(err)
		if last {
			return nil
		}
		wait := pollEvery/2 + rand.N(pollEvery)
		poke := f.poke
		if err != nil {
			poke = nil // or each commit would be a try
			wait, retry = retry, min(2*retry, retryMost)
		} else {
			retry = retryLeast
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-poke:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// report says once that the journal cannot be written, and once that it can
// again.
func (f *Follower) report(err error) {
	_, former := f.State()
	switch {
	case err != nil && (former == nil || errors.Is(former, errNotBegun)):
		f.Logger.Error("the revocation journal cannot be written; access is taken regardless, but a restored backup would give back what is not in it", "journal", f.Path(), "error", err)
	case err == nil && former != nil && !errors.Is(former, errNotBegun):
		f.Logger.Info("the revocation journal is written again", "journal", f.Path())
	}
	if (err == nil) != (former == nil) || err != nil {
		f.note(func() { f.failure = err })
	}
}

// follow writes what has moved since the last time. After an error the file is
// opened anew by the next one.
func (f *Follower) follow(ctx context.Context, last bool) (err error) {
	defer func() {
		if err != nil && f.journal != nil {
			err = errors.Join(err, f.journal.Close())
			f.journal = nil
		}
	}()
	if f.journal == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	for more := true; more; {
		if more, err = f.step(ctx, last); err != nil {
			return err
		}
	}
	if time.Since(f.pruned) < pruneEvery {
		return nil
	}
	f.pruned = time.Now()
	return f.journal.Prune(time.Now().Add(-f.Keep))
}

func (f *Follower) open() error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of the revocation journal: %w", err)
	}
	j, read, err := Open(f.Path())
	if err != nil {
		return err
	}
	at := place{}
	for _, d := range read.Damage {
		f.Logger.Error("the revocation journal was damaged; a new one is begun with all that is known now", "damaged", read.Path, "why", d)
	}
	if len(read.Damage) == 0 {
		at = end(read.Frames)
	}
	f.journal, f.at = j, at
	return nil
}

// end is how far frames come: nowhere, if in the last epoch not everything was
// said yet that had been taken before.
func end(frames []Frame) (at place) {
	whole := false
	for _, v := range frames {
		if v.Epoch != at.epoch {
			at, whole = place{epoch: v.Epoch}, false
		}
		whole = whole || v.Whole || v.From > 0
		at.upto = v.Upto
	}
	if !whole {
		return place{}
	}
	return at
}

// step writes one frame and reports whether there is more.
func (f *Follower) step(ctx context.Context, last bool) (more bool, err error) {
	frame := Frame{At: time.Now().UTC()}
	moved := false
	err = f.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		frame.Instance, frame.Epoch, frame.AsOf = position.Instance, position.Epoch, position.Revision
		if f.at.epoch != position.Epoch || f.at.upto < position.Horizon || f.at.upto > position.Revision {
			return f.everything(tx, &frame)
		}
		moved = position.Revision > f.at.upto
		if !moved {
			frame.Upto = f.at.upto
			return nil
		}
		more, err = f.since(tx, &frame)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("reading what was taken: %w", err)
	}
	if frame.isEmpty() && (!moved || !last && time.Since(f.marked) < markEvery) {
		// Known, but not worth a line: after a crash it is read once more.
		f.reached(frame)
		return more, nil
	}
	if err := f.journal.Append(frame); err != nil {
		return false, err
	}
	f.marked = time.Now()
	f.reached(frame)
	return more, nil
}

func (f *Follower) reached(frame Frame) {
	f.at = place{frame.Epoch, frame.Upto}
	f.note(func() { f.upto = frame.Upto })
}

// since gathers what changed after the place.
func (f *Follower) since(tx *store.Reader, frame *Frame) (more bool, err error) {
	changes, err := tx.Changes(f.at.upto, readAtOnce)
	if err != nil {
		return false, err
	}
	frame.Upto = frame.AsOf
	if more = len(changes) == readAtOnce; more {
		frame.Upto = changes[readAtOnce-1].Revision
	}
	done := make(map[provisioner.Change]bool)
	for _, c := range changes {
		c = provisioner.Change{Kind: c.Kind, Device: c.Device, Gateway: c.Gateway, Tenant: c.Tenant}
		if done[c] {
			continue
		}
		done[c] = true
		switch c.Kind {
		case provisioner.ChangeDevice:
			d, err := tx.Device(c.Device)
			if errors.Is(err, store.ErrNone) {
				continue // whose it was is forgotten, which is said with a change of its own
			}
			if err != nil {
				return false, fmt.Errorf("device %s: %w", c.Device, err)
			}
			frame.Devices = append(frame.Devices, deviceOf(d))
		case provisioner.ChangeGateway:
			g, err := tx.Gateway(c.Gateway)
			if err != nil {
				return false, fmt.Errorf("gateway %s: %w", c.Gateway, err)
			}
			frame.gateway(g)
		case provisioner.ChangeKeys:
			if err := frame.keys(tx); err != nil {
				return false, err
			}
		case provisioner.ChangeForgotten:
			frame.Forgotten = append(frame.Forgotten, Forgotten{Person: c.Device, Tenant: c.Tenant})
		}
	}
	return more, nil
}

// everything says all that was ever taken: of a new journal, a new epoch, and
// after changes were trimmed that had not been followed.
func (f *Follower) everything(tx *store.Reader, frame *Frame) error {
	// In frames of their own: a frame is a line, and has an end. What they say
	// counts with the last one, which says that it is whole.
	for after := ""; ; {
		list, err := tx.DevicesTaken(after, readAtOnce)
		if err != nil {
			return err
		}
		for _, d := range list {
			frame.Devices = append(frame.Devices, deviceOf(d))
			after = d.ID
		}
		if len(list) < readAtOnce {
			break
		}
		if err := f.journal.Append(*frame); err != nil {
			return err
		}
		frame.Devices = nil
	}
	gateways, err := tx.Gateways()
	if err != nil {
		return err
	}
	for _, g := range gateways {
		frame.gateway(g)
	}
	forgotten, err := tx.Forgotten()
	if err != nil {
		return err
	}
	for _, c := range forgotten {
		frame.Forgotten = append(frame.Forgotten, Forgotten{Person: c.Device, Tenant: c.Tenant})
	}
	frame.Upto, frame.Whole = frame.AsOf, true
	return frame.keys(tx)
}

func deviceOf(d provisioner.Device) Device {
	v := Device{
		ID: d.ID, Tenant: d.Tenant, Person: d.Person, SerialNumber: d.SerialNumber, Generation: d.Generation,
		PublicKey: d.PublicKey[:], Revoked: !d.RevokedAt.IsZero(),
	}
	for _, s := range d.SuspendedBy {
		v.Suspended = append(v.Suspended, s.Source)
	}
	return v
}

func (f *Frame) gateway(g store.GatewayState) {
	if g.Generation > 0 {
		f.Gateways = append(f.Gateways, Gateway{Name: g.Name, Generation: g.Generation, PublicKey: g.PublicKey[:]})
	}
}

func (f *Frame) keys(tx *store.Reader) error {
	list, err := tx.AllKeys()
	for _, k := range list {
		f.Keys = append(f.Keys, Key{
			Purpose: k.Purpose, Version: k.Version, Sealed: k.Sealed, Public: k.Public, Bridge: k.Bridge,
			Stage: k.Stage, StageAt: k.StageAt, Created: k.CreatedAt,
		})
	}
	return err
}
