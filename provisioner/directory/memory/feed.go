package memory

import (
	"context"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// heardEvery is how often a feed says that the directory is still there.
const heardEvery = 10 * time.Second

// feed tells what the directory contains, and what is changed in it as soon as it is.
type feed struct {
	d        *Directory
	interest directory.Interest
}

// Feed implements directory.Directory.
func (d *Directory) Feed(i directory.Interest) directory.Feed { return &feed{d: d, interest: i} }

// Follow implements directory.Feed. It reads everything each time.
func (f *feed) Follow(ctx context.Context, to directory.Observer) error {
	bases, entries, w, err := f.begin(ctx)
	if err != nil {
		return err
	}
	defer f.d.watchers.unwatch(w)
	told := map[string]bool{}
	if err := f.pass(bases, entries, to, told); err != nil {
		return err
	}
	to.Live(directory.Source{Server: "memory", Flavour: f.d.flavour.Name, Way: directory.WayPersistentSearch})
	to.Heard()
	tick := time.NewTicker(heardEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return f.d.givenUp(ctx)
		case <-w.news:
		case <-tick.C:
		}
		for _, c := range w.take() {
			if err := f.change(bases, c, to, told); err != nil {
				return err
			}
		}
		if err := f.d.up(ctx); err != nil {
			return err
		}
		to.Heard()
	}
}

// Reconcile implements directory.Feed.
func (f *feed) Reconcile(ctx context.Context, to directory.Observer) error {
	bases, entries, w, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.d.watchers.unwatch(w)
	return f.pass(bases, entries, to, map[string]bool{})
}

// begin copies everything, and watches from then on.
func (f *feed) begin(ctx context.Context) (bases []string, entries []*entry, w *watcher, err error) {
	d := f.d
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.ready(ctx); err != nil {
		return nil, nil, nil, err
	}
	for _, base := range f.interest.Bases {
		folded, err := d.foldBase(base)
		if err != nil {
			return nil, nil, nil, err
		}
		bases = append(bases, folded)
	}
	for _, e := range d.order {
		entries = append(entries, e.clone())
	}
	return bases, entries, d.watchers.watch(), nil
}

func (f *feed) pass(bases []string, entries []*entry, to directory.Observer, told map[string]bool) error {
	pass := to.Pass()
	for _, e := range entries {
		entry, wanted, err := f.judge(bases, e)
		if err != nil {
			return err
		}
		if wanted {
			told[entry.StableID] = true
			pass.Read(entry)
		}
	}
	pass.Whole()
	return nil
}

// judge makes of an entry what an observer is told. False: it is not of interest.
func (f *feed) judge(bases []string, e *entry) (directory.Entry, bool, error) {
	group, err := f.d.flavour.IsGroup(e.attributes)
	below := slices.ContainsFunc(bases, func(base string) bool { return directory.Under(e.folded, base) })
	if err != nil || !group && (!e.isPerson() || !below) {
		return directory.Entry{}, false, nil //nolint:nilerr // an entry without classes is no person and no group
	}
	entry, err := f.d.flavour.Entry(f.d.name, e.dn, e.attributes, time.Now())
	if err != nil {
		return entry, false, &directory.Error{Cause: directory.Misconfigured, Directory: f.d.name, Detail: "the entry " + e.dn + " cannot be judged", Err: err}
	}
	return entry, true, nil
}

func (f *feed) change(bases []string, c change, to directory.Observer, told map[string]bool) error {
	entry, wanted, err := f.judge(bases, c.entry)
	if err != nil {
		return err
	}
	if wanted && c.kind != changeDelete {
		told[entry.StableID] = true
		to.Changed(entry)
		return nil
	}
	id, err := f.d.flavour.ID(c.entry.attributes)
	if err != nil || !told[id] {
		return nil //nolint:nilerr // what has no id has never been told
	}
	delete(told, id)
	to.Gone(id)
	return nil
}

// up returns an error if the directory does not answer.
func (d *Directory) up(ctx context.Context) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.ready(ctx)
}
