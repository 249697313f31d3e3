//go:build linux

package crash_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestRollingUpgrade replaces two replicas one after the other, as an upgrade
// does, with a laptop and a gateway attached and traffic through the tunnel. The
// first one brings a newer schema along, beside which the other goes on, and
// starts again. Nothing is lost, the tunnel carries every request, and the laptop
// has the session that it had.
func TestRollingUpgrade(t *testing.T) {
	r := newTrio(t, 2)
	r.gateway.kill()
	r.gateway.servers = []string{r.planes[0].address, r.planes[1].address}
	restarted := time.Now()
	r.gateway.start()
	e := r.laptop(r.planes...)
	enrolled, err := e.Enrol(t.Context(), endpoint.EnrolRequest{Login: provisionertest.Staff, Password: provisionertest.Password})
	must(t, "enrolling", err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r.books.connected("gw1", restarted)
	must(t, "connecting", e.Up(ctx))
	before := r.books.held(enrolled.DeviceID)
	r.ask(func() { r.known[enrolled.DeviceID] = new(device) })
	browsed := browse(ctx, t, e)

	for i, p := range r.planes {
		other := r.loads[1-i]
		stop, _ := other.work(r.clients[1-i], 3, 1, uint64(i))
		other.await(20)
		// While a gateway moves from one replica to the other, openings may be told to
		// come again.
		other.disturbed.Store(true)
		p.terminate()
		if i == 0 {
			_, err := r.books.db.ExecContext(ctx, `insert into goose_db_version (version_id, is_applied) values (9999, true)`)
			must(t, "making the schema that of a newer version", err)
		}
		p.start()
		r.books.connected("gw1", time.Time{})
		other.await(20)
		stop()
	}

	r.check(r.books, "after the upgrade")
	r.gateway.exact(r.books, "after the upgrade")
	eventually(t, "the laptop is attached", time.Minute, func() error {
		if s := e.Status("en"); !s.ControlPlane {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if now := r.books.held(enrolled.DeviceID); now.id != before.id {
		t.Errorf("the laptop's session was %s and is %s", before.id, now.id)
	}
	if requests := browsed(); requests < 10 {
		t.Errorf("only %d requests went through the tunnel meanwhile", requests)
	}
	answer, err := heimdrahtv1.NewHelpdeskServiceClient(r.clients[0].Dial(nil)).RevokeDevice(
		provisionertest.As(t.Context(), r.loads[0].desk), &heimdrahtv1.RevokeDeviceRequest{DeviceId: enrolled.DeviceID, Reason: "test"})
	must(t, "revoking", err)
	if c := answer.GetConfirmations(); len(c) != 1 || !c[0].GetConfirmed() {
		t.Errorf("confirmations %v", c)
	}
}

// browse fetches the intranet's word through a laptop's tunnel, again and again,
// until its result is asked for: how often. One that fails is an error.
func browse(ctx context.Context, t testing.TB, e *endpoint.Endpoint) (requests func() int64) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	var n atomic.Int64
	go func() {
		defer close(ended)
		pause := time.NewTicker(50 * time.Millisecond)
		defer pause.Stop()
		for {
			if err := greets(context.WithoutCancel(ctx), e); err != nil {
				t.Errorf("request %d through the tunnel: %v", n.Load(), err)
				return
			}
			n.Add(1)
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		}
	}()
	return func() int64 {
		stop()
		<-ended
		return n.Load()
	}
}
