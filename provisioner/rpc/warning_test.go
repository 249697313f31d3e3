package rpc_test

import (
	"context"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// Planners see warnings; only operators send a test.
func TestWarningsAreAskedFor(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	operator := provisionertest.As(t.Context(), s.Operator)
	for _, ctx := range []context.Context{planner, operator} {
		r, err := client.ListWarnings(ctx, &heimdrahtv1.ListWarningsRequest{All: true})
		if err != nil || len(r.GetWarnings()) > 0 || r.GetReceiver() != nil {
			t.Errorf("%v, %v", r, err)
		}
	}
	for want, ctx := range map[string]context.Context{"not-allowed": planner, "webhook-missing": operator} {
		_, err := client.TestWarnings(ctx, &heimdrahtv1.TestWarningsRequest{})
		if got := codeOf(err); got != want {
			t.Errorf("a test: %v, want %s", err, want)
		}
	}
}
