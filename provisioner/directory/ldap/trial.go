package ldap

import (
	"context"
	"errors"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Trial is what came of trying to follow a server.
type Trial struct {
	Flavour string
	Roots   []string         // the naming contexts that are read
	Ways    []Tried          // the best one first, up to the one that works
	Source  directory.Source // of the one that works
}

// Tried is one way of noticing changes, as it turned out.
type Tried struct {
	Way     directory.Way
	Offered bool  // by the server
	Err     error // why it cannot be used although it is offered; nil: it works
}

// Try follows as a feed's Follow does, and stops as soon as everything has been read and changes would be noticed.
func (d *Directory) Try(ctx context.Context, i directory.Interest, to directory.Observer) (t Trial, err error) {
	f := d.Feed(i).(*feed)
	err = f.onFirst(ctx, func(ctx context.Context, on site) (err error) {
		t = Trial{Flavour: on.flavour.Name, Roots: on.roots}
		for _, way := range append(slices.Clone(on.flavour.Ways), directory.WayPolling) {
			tried := Tried{Way: way, Offered: way.Offers(on.root)}
			if tried.Offered {
				if t.Source, err = f.try(ctx, on, way, to); err != nil && !errors.Is(err, errNotOffered) {
					return err
				}
				tried.Err = err
			}
			t.Ways = append(t.Ways, tried)
			if tried.Offered && err == nil {
				return nil
			}
		}
		return errNotOffered // not reached: polling is always offered
	})
	return t, err
}

func (f *feed) try(ctx context.Context, on site, way directory.Way, to directory.Observer) (directory.Source, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen := &untilLive{Observer: to, stop: stop}
	if err := f.follower(way)(ctx, on, seen); seen.source.Way == "" {
		return directory.Source{}, err
	}
	return seen.source, nil
}

// untilLive ends following once it has begun.
type untilLive struct {
	directory.Observer
	stop   context.CancelFunc
	source directory.Source
}

func (u *untilLive) Live(s directory.Source) {
	u.source = s
	u.Observer.Live(s)
	u.stop()
}
