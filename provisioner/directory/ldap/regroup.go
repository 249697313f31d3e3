package ldap

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// regroup says when groups are to be read again. Servers that keep groups in order (OpenLDAP's refint, links in Active
// Directory) put a new DN in the place of the old one, or take out who has been deleted, and tell nobody; whoever is made
// anew under that DN would seem to be in the old one's groups. They do it shortly after the change, so groups are read a
// moment later, and once more after that.
type regroup struct {
	readings int       // still to come
	all      bool      // people as well: a unit has been renamed or moved, and everybody below it
	at       time.Time // when the next one is
	rested   time.Time // before then there is none: reading takes no more than a share of the time
}

// groupsSoon has groups read again.
func (f *feed) groupsSoon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.regroup
	at := time.Now().Add(f.pace.settle)
	if at.Before(r.rested) {
		at = r.rested
	}
	if r.readings == 0 || at.Before(r.at) {
		r.at = at
	}
	r.readings = 2
}

// everythingSoon has people and groups read again.
func (f *feed) everythingSoon() {
	f.groupsSoon()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.regroup.all = true
}

// regroupAt is when groups are to be read again; the zero time: not at all.
func (f *feed) regroupAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.regroup.readings == 0 {
		return time.Time{}
	}
	return f.regroup.at
}

// regroupIfDue reads groups again if it is time to, and tells those whose members are no longer as they were told.
// Followers call it from time to time.
func (f *feed) regroupIfDue(ctx context.Context, on site, to directory.Observer) error {
	if at := f.regroupAt(); at.IsZero() || time.Now().Before(at) {
		return nil
	}
	start := time.Now()
	f.mu.Lock()
	all := f.regroup.all
	f.mu.Unlock()
	read := f.readGroups
	if all {
		read = f.readAll
	}
	if err := read(ctx, on, to); err != nil {
		return err
	}
	f.regrouped(time.Since(start))
	return nil
}

// regrouped ends a reading that took so long.
func (f *feed) regrouped(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.regroup
	if r.readings--; r.readings == 0 {
		r.all = false
	}
	r.rested = time.Now().Add(f.pace.resting(took))
	r.at = time.Now().Add(max(f.pace.beat, f.pace.settle, f.pace.resting(took)))
}

// readGroups reads the groups of all roots.
func (f *feed) readGroups(ctx context.Context, on site, to directory.Observer) error {
	w, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	defer w.close()
	for _, root := range on.roots {
		err := f.readRoot(ctx, w, on, root, on.flavour.GroupFilter(), func(dn string, a directory.Attributes) error {
			e, wanted, err := f.judge(on, dn, a)
			if err != nil || !wanted {
				return err
			}
			if before := f.remember(root, e); before != f.place(e.StableID) {
				to.Changed(e)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) place(id string) place {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told[id]
}
