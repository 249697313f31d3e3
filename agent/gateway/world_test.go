package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// world is a control plane, a gateway and its device in one bubble of
// synctest.
type world struct {
	t       tb
	plane   *plane
	pipes   *pipes
	stop    func()
	device  *memoryDevice
	dir     string
	gateway *Gateway
	cancel  context.CancelFunc
	done    chan error
	state   *state.Dir
	ctx     context.Context
	prepare func(*Gateway) // before it runs; nil: nothing
}

func newWorld(ctx context.Context, t tb, dir string) *world {
	t.Helper()
	w := &world{t: t, ctx: ctx, plane: newPlane(t), pipes: newPipes(), device: newMemoryDevice(), dir: dir}
	w.stop = w.plane.serve(w.pipes)
	dirState, err := state.Open(dir)
	check(t, err)
	_, err = Join(ctx, JoinOptions{
		Address: w.plane.address(control.Server{Host: "localhost", Port: 8443}), Token: "token-1",
		State: dirState, Version: "test", Dial: w.pipes.dial,
	})
	check(t, err)
	check(t, dirState.Close())
	return w
}

// start runs the gateway.
func (w *world) start() { w.startWith(w.device.open) }

func (w *world) startWith(open func(context.Context, Setup) (Device, error)) {
	w.t.Helper()
	var err error
	w.state, err = state.Open(w.dir)
	check(w.t, err)
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("GATEWAY_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w.gateway, err = New(Options{
		State: w.state, Open: open, Version: "test", Dial: w.pipes.dial, Logger: logger,
	})
	check(w.t, err)
	if w.prepare != nil {
		w.prepare(w.gateway)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.cancel, w.done = cancel, make(chan error, 1)
	go func() { w.done <- w.gateway.Run(ctx) }()
}

// halt ends the gateway, as a service is stopped.
func (w *world) halt() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; !errors.Is(err, context.Canceled) {
		w.t.Errorf("the gateway ended with %v", err)
	}
	check(w.t, w.state.Close())
	w.gateway = nil
}

func (w *world) end() {
	if w.gateway != nil {
		w.halt()
	}
	w.stop()
}

// exact fails unless the device holds what the model wants.
func (w *world) exact() {
	w.t.Helper()
	if diff := cmp.Diff(w.plane.wants(), w.device.holds()); diff != "" {
		w.t.Fatalf("the device is not as the control plane says (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(w.plane.guards(), w.device.filter.holds()); diff != "" {
		w.t.Fatalf("the filter is not as the control plane says (-want +got):\n%s", diff)
	}
}

// guards is what the model wants the filter to hold, as text.
func (p *plane) guards() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]string)
	for _, m := range p.sessions {
		var addresses []netip.Addr
		for _, s := range m.GetAllowedIps() {
			addresses = append(addresses, netip.MustParsePrefix(s).Addr())
		}
		out[wireguard.Key(m.GetPublicKey()).String()] = strings.TrimSpace(fmt.Sprint(addresses) + " " + m.GetAccess())
	}
	return out
}

// wants is what the model wants installed, as text.
func (p *plane) wants() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]string)
	for _, m := range p.sessions {
		var ips []netip.Prefix
		for _, s := range m.GetAllowedIps() {
			ips = append(ips, netip.MustParsePrefix(s))
		}
		out[wireguard.Key(m.GetPublicKey()).String()] = wireguard.PresharedKey(m.GetPresharedKey()).Base64() + fmt.Sprint(ips)
	}
	return out
}

// inWorld runs a test with a joined and started gateway.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), t, t.TempDir()+"/state")
		w.start()
		defer w.end()
		synctest.Wait()
		f(t, w)
	})
}
