package main

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// tidyMemoryEvery is as often as Go collects what is left over on its own, when little happens.
	tidyMemoryEvery = 2 * time.Minute
	// leftover is how much may be left over before that, in per cent of what is in use; Go's own is as much as is in use.
	leftover = 50
)

// giveMemoryBack collects what is left over and gives its memory to the system, again and again, and the program's own pages.
// Go would keep it for what comes, which is right for a server; on a laptop nothing may come for hours.
func giveMemoryBack(ctx context.Context, log *slog.Logger) error {
	runtime.MemProfileRate = 0 // nobody reads the profile, which has memory of its own
	debug.SetGCPercent(leftover)
	tick := time.NewTicker(tidyMemoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			debug.FreeOSMemory()
			if err := unmapProgram(); err != nil {
				log.Debug("the program's pages stay in memory", "error", err)
			}
		}
	}
}
