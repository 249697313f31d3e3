package main

import (
	"context"

	"github.com/heimdraht/heimdraht/agent/posture"
)

// tellScreenCommand is for desktops, which run it when somebody signs in: the service cannot read her settings, and where it has
// connected before she came nothing else of hers has told it. Where there is nothing to tell it says nothing.
type tellScreenCommand struct{}

// Run tells the daemon how the person's screen is locked.
func (tellScreenCommand) Run(ctx context.Context, a *app) error {
	screen := posture.OwnScreen(ctx)
	if screen == nil {
		return nil
	}
	return a.daemon(ctx).screen(ctx, screen)
}
