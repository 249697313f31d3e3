//go:build !linux

package endpoint

import (
	"context"
	"log/slog"

	"github.com/heimdraht/heimdraht/agent/hostnet"
)

// WatchNetwork tells, by each value, that the laptop's addresses or routes have changed, those of the tunnel's own
// interface excepted. It ends with the context. If the system does not tell, nor does it.
func WatchNetwork(ctx context.Context, own string, log *slog.Logger) <-chan struct{} {
	changed, err := hostnet.Watch(ctx, own)
	if err != nil {
		log.Warn("changes of the network are not noticed at once", "error", err)
	}
	return changed
}
