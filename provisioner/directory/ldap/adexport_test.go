package ldap

import (
	"context"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// ByNumbers has a feed follow Active Directory without DirSync.
func ByNumbers(f directory.Feed) directory.Feed { return byNumbers{f.(*feed)} }

type byNumbers struct{ *feed }

func (f byNumbers) Follow(ctx context.Context, to directory.Observer) error {
	return f.onFirst(ctx, func(ctx context.Context, on site) error { return f.followUSN(ctx, on, to) })
}
