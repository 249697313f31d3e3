package ldap

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// ByNumbers has a feed follow Active Directory without DirSync.
func ByNumbers(f directory.Feed) directory.Feed { return byNumbers{f.(*feed)} }

type byNumbers struct{ *feed }

func (f byNumbers) Follow(ctx context.Context, to directory.Observer) error {
	return f.onFirst(ctx, func(ctx context.Context, on site) error { return f.followUSN(ctx, on, to) })
}

// ListEvery has a feed look so often for deletions that it is not told.
func ListEvery(f directory.Feed, often time.Duration) { f.(*feed).pace.poll = often }
