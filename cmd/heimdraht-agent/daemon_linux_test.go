package main

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/cmd/internal/service"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// assembled puts a daemon together as `run` does, with a proxy in the place of an interface. It does not run yet.
func assembled(t *testing.T, settings config.Agent, log *slog.Logger) *daemon {
	t.Helper()
	settings.UserspaceProxy, settings.Socket = "127.0.0.1:0", freeSocket(t)
	store, err := state.Open(filepath.Join(filepath.Dir(settings.Socket), "state"))
	check(t, err)
	t.Cleanup(func() { check(t, store.Close()) })
	a := &app{world: world{env: func(string) string { return "" }, self: self()}, language: speech.English}
	d, err := (&runCommand{}).assemble(t.Context(), a, settings, store, log)
	check(t, err)
	return d
}

// runs runs it until the test ends.
func (d *daemon) runs(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- d.run(ctx, service.New(func(string) string { return "" }, slog.New(slog.DiscardHandler)), nil)
	}()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
}

// TestTheDaemonTellsOfScreens: in the daemon as it is put together, what somebody says of her screen reaches the control plane
// when she connects, and at once where it is another answer then. On a laptop that several share nobody else's counts for her.
func TestTheDaemonTellsOfScreens(t *testing.T) {
	testneed.Root(t) // for the shared one
	for name, shared := range map[string]bool{"one account's": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			plane := endpointtest.New(t)
			plane.Script(func(s *endpointtest.Script) { s.OnOpen = askOfScreens })
			settings := config.DefaultAgent()
			settings.Servers, settings.CASHA256 = []string{plane.Server.String()}, plane.Pin().String()
			settings.Start, settings.Shared = config.StartManual, shared
			log := slog.New(slog.DiscardHandler)
			d := assembled(t, settings, log)
			for part, got := range map[string]*slog.Logger{
				"daemon": d.log, "door": d.door.log, "window": d.door.pages.Logger, "looker": d.door.posture.Logger, "proxy": d.proxy.Logger,
			} {
				if got != log {
					t.Errorf("nobody hears what the %s has to say", part)
				}
			}
			d.door.posture.People = func() []string { return nil } // whoever sits at the machine of the test
			d.runs(t)
			ask := func(path string, s *posture.Screen) {
				t.Helper()
				_, err := (&caller{socket: d.door.socket, self: self()}).call(t.Context(), http.MethodPost, path, wishCall{Screen: s})
				check(t, err)
			}
			told := func(met bool) {
				t.Helper()
				plane.Await("opened")
				openings := plane.Seen().Openings
				answers := openings[len(openings)-1].GetConditions().GetAnswers()
				if len(answers) != 1 || answers[0].GetName() != posture.ScreenLock || answers[0].GetMet() != met {
					t.Fatalf("told: %v, want %v", answers, met)
				}
			}
			_, err := (&caller{socket: d.door.socket, self: self()}).enrol(t.Context(), enrolment())
			check(t, err)
			ask(screenPath, &posture.Screen{Locks: true, After: time.Minute})
			if shared {
				d.door.posture.Tell("1001", posture.Screen{})
			}
			ask(upPath, nil)
			told(true)
			ask(screenPath, &posture.Screen{})
			told(false)
		})
	}
}

// askOfScreens asks who has not answered yet.
func askOfScreens(open *heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse {
	if len(open.GetConditions().GetAnswers()) > 0 {
		return nil
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Asked{Asked: &heimdrahtv1.ConditionQuestion{
		Question: "q-1", Conditions: []*heimdrahtv1.AskedCondition{{Name: posture.ScreenLock, WithinMinutes: 10}},
	}}}
}
