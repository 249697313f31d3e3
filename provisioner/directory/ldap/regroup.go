package ldap

import (
	"context"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// regroup says when groups are to be read again. Servers that keep groups in order (OpenLDAP's refint, links in Active
// Directory) put a new DN in the place of the old one, or take out who has been deleted, and tell nobody. They do it
// shortly after the change, so groups are read a moment later, and once more after that.
//
// Until then whoever has been renamed is told with her former DNs among her names, or she would have lost her rights for
// that moment.
type regroup struct {
	readings int       // still to come
	at       time.Time // when the next one is
	rested   time.Time // before then there is none: reading takes no more than a share of the time
	renamed  map[string]renamed
}

// renamed is an entry under its new name.
type renamed struct {
	entry  directory.Entry
	former []string // DNs, folded
}

// soon has groups read again. The feed's lock is held.
func (r *regroup) soon(p pace) {
	at := time.Now().Add(p.settle)
	if at.Before(r.rested) {
		at = r.rested
	}
	if r.readings == 0 || at.Before(r.at) {
		r.at = at
	}
	r.readings = 2
}

// underFormerNames remembers an entry, and adds the DNs that groups may still know it by.
func (f *feed) underFormerNames(root string, e directory.Entry) directory.Entry {
	before := f.remember(root, e)
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.regroup.renamed[e.StableID]
	if now := f.told[e.StableID].dn; before.dn != "" && before.dn != now {
		r.former = append(slices.DeleteFunc(r.former, func(dn string) bool { return dn == now }), before.dn)
		f.regroup.soon(f.pace)
	}
	if len(r.former) == 0 {
		return e
	}
	r.entry = e
	f.regroup.renamed[e.StableID] = r
	e.Names = slices.Concat(e.Names, r.former)
	return e
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
	if err := f.readGroups(ctx, on, to); err != nil {
		return err
	}
	for _, e := range f.regrouped(time.Since(start)) {
		to.Changed(e)
	}
	return nil
}

// regrouped ends a reading that took so long, and returns who is from now on known by her new name alone.
func (f *feed) regrouped(took time.Duration) []directory.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.regroup
	r.readings--
	r.rested = time.Now().Add(f.pace.resting(took))
	if r.readings > 0 {
		r.at = time.Now().Add(max(f.pace.beat, f.pace.settle, f.pace.resting(took)))
		return nil
	}
	var settled []directory.Entry
	for _, entry := range r.renamed {
		settled = append(settled, entry.entry)
	}
	clear(r.renamed)
	return settled
}

// readGroups reads the groups of all roots.
func (f *feed) readGroups(ctx context.Context, on site, to directory.Observer) error {
	w, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	defer w.close()
	for _, root := range on.roots {
		err := f.readRoot(w, on, root, on.flavour.GroupFilter(), func(dn string, a directory.Attributes) error {
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
