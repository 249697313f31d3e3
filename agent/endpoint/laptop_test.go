package endpoint

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// harness is a control plane with laptops.
type harness struct {
	*endpointtest.Plane
	t testing.TB
}

func newHarness(t testing.TB) *harness { return &harness{Plane: endpointtest.New(t), t: t} }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are those of a laptop without root.
func (s *harness) options() Options {
	o := bare()
	o.Servers, o.Pin = []control.Server{s.Server}, s.Pin()
	return o
}

// bare is a laptop that knows no control plane.
func bare() Options {
	return Options{
		Store:      &control.MemoryStore{},
		Device:     wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true},
		DeviceName: "laptop", SerialNumber: "SN1", Platform: "linux", Version: "test",
		Logger: slog.New(slog.DiscardHandler),
	}
}

// laptop is an endpoint without root, running.
func (s *harness) laptop(change func(*Options)) *Endpoint {
	s.t.Helper()
	o := s.options()
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	check(s.t, err)
	s.run(e)
	return e
}

// run runs an endpoint until the test ends or stop is called.
func (s *harness) run(e *Endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("Run: %v", err)
			}
		})
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *harness) enrol(e *Endpoint) Enrolled {
	s.t.Helper()
	got, err := e.Enrol(s.t.Context(), EnrolRequest{Login: "beispiel", Password: endpointtest.Password})
	check(s.t, err)
	return got
}

func (s *harness) up(e *Endpoint) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if err := e.Up(ctx); err != nil {
		s.t.Fatalf("up: %v (%+v)", err, e.Status("en"))
	}
}

// page fetches the page behind the gateway.
func page(t testing.TB, e *Endpoint, within time.Duration) error {
	t.Helper()
	transport := &http.Transport{DialContext: e.DialContext, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+endpointtest.Inside+"/", nil)
	check(t, err)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != endpointtest.Page {
		t.Errorf("fetched %q, %v", body, err)
	}
	return nil
}

// eventually waits until the status is as wanted.
func eventually(t testing.TB, e *Endpoint, what string, is func(Status) bool) Status {
	t.Helper()
	patience := time.After(15 * time.Second)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		status := e.Status("de")
		if is(status) {
			return status
		}
		select {
		case <-look.C:
		case <-patience:
			t.Fatalf("waited in vain for %s: %+v", what, status)
		}
	}
}

func inState(want State) func(Status) bool { return func(s Status) bool { return s.State == want } }
