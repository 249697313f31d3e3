package ldap

import (
	"context"
	"slices"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

const pageSize = 1000 // entries; Active Directory allows no more

// followPolling reads everything again and again.
func (f *feed) followPolling(ctx context.Context, on site, to directory.Observer) error {
	for live := false; ; live = true {
		start := time.Now()
		if err := f.readAll(ctx, on, to); err != nil {
			return err
		}
		if !live {
			to.Live(on.source(directory.WayPolling))
		}
		to.Heard()
		rest := time.NewTimer(max(f.pace.poll, f.pace.resting(time.Since(start))))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return context.Cause(ctx)
		}
	}
}

// readAll reads everything once, over a connection of its own.
func (f *feed) readAll(ctx context.Context, on site, to directory.Observer) error {
	w, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	defer w.close()
	pass := to.Pass()
	for _, root := range on.roots {
		err := f.readRoot(ctx, w, on, root, on.flavour.FeedFilter(), func(dn string, a directory.Attributes) error {
			e, wanted, err := f.judge(on, dn, a)
			if err != nil || !wanted {
				return err
			}
			f.remember(root, e)
			pass.Read(e)
			return nil
		})
		if err != nil {
			return err
		}
	}
	pass.Whole()
	return nil
}

// readRoot reads what matches a filter below one root, in pages.
func (f *feed) readRoot(ctx context.Context, w *wire, on site, root, filter string, each func(dn string, a directory.Attributes) error) error {
	var cookie []byte
	entries := 0
	for {
		paging := goldap.NewControlPaging(pageSize)
		paging.SetCookie(cookie)
		id, err := w.search(root, goldap.ScopeWholeSubtree, filter, on.flavour.FeedAttributes(), paging)
		if err != nil {
			return err
		}
		for done := false; !done; {
			m, err := w.next()
			if err != nil {
				return err
			}
			switch {
			case m.id != id:
			case m.tag == opEntry:
				entries++
				dn, attributes, err := w.entry(m)
				if err != nil {
					return err
				}
				if err := f.complete(ctx, on, dn, attributes); err != nil {
					return err
				}
				if err := each(dn, attributes); err != nil {
					return err
				}
			case m.tag == opDone:
				if cookie, err = pageCookie(m); err != nil {
					return f.limited(on, entries, err)
				}
				done = true
			}
		}
		if len(cookie) == 0 {
			return nil
		}
	}
}

// pageCookie returns where the next page begins; empty: this was the last one.
func pageCookie(m message) ([]byte, error) {
	if err := m.err(); err != nil {
		return nil, err
	}
	paging, ok := m.control(goldap.ControlTypePaging)
	if !ok {
		return nil, nil
	}
	value, ok := paging.want(tagSequence)
	_, ok2 := value.number(tagInteger) // an estimate of how many there are
	cookie, ok3 := value.want(tagString)
	if !ok || !ok2 || !ok3 {
		return nil, errMalformed
	}
	return slices.Clone(cookie), nil
}
