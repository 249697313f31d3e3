package auditing

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How many refusals are recorded: nobody may fill the log by being refused.
const (
	refusalsAtOnce = 60
	refusalEvery   = 10 * time.Second
)

// Refusals records refusals that matter, at a bounded rate; how many were left out stands
// in the next record.
type Refusals struct {
	store   *store.Store
	log     *slog.Logger
	limiter *rate.Limiter
	left    atomic.Int64
}

// NewRefusals makes one.
func NewRefusals(s *store.Store, log *slog.Logger) *Refusals {
	return &Refusals{store: s, log: log, limiter: rate.NewLimiter(rate.Every(refusalEvery), refusalsAtOnce)}
}

// Staff records that somebody who is signed in was refused something she may not do. Other
// refusals and other people do not matter.
func (r *Refusals) Staff(ctx context.Context, actor provisioner.Actor, action provisioner.Action, refusal *provisioner.Refusal) {
	if refusal.Code != provisioner.CodeNotAllowed {
		return
	}
	for _, g := range actor.Grants {
		switch g.Role {
		case provisioner.RoleStaff, provisioner.RoleHelpdesk, provisioner.RolePlanner, provisioner.RoleTenantAdmin, provisioner.RoleOperator:
			r.Note(ctx, store.Event{Actor: actor, Tenant: g.Tenant, Action: string(action), Result: string(refusal.Code)})
			return
		}
	}
}

// Note records a refusal. What keeps it from being recorded is told to the log: the person
// has been refused all the same.
func (r *Refusals) Note(ctx context.Context, e store.Event) {
	if !r.limiter.Allow() {
		r.left.Add(1)
		return
	}
	if n := r.left.Swap(0); n > 0 {
		e.Details = map[string]string{"refusals not recorded": strconv.FormatInt(n, 10)}
	}
	if err := r.store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error { return tx.Audit(e) }); err != nil {
		r.log.Error("recording a refusal", "error", err)
	}
}
