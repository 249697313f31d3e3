package app

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestHealthFollowsTheDatabase(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{store: s, log: slog.New(slog.DiscardHandler)}
	ask := func() int {
		answer := httptest.NewRecorder()
		a.healthz(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
		return answer.Code
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("with its database: %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("without its database: %d", got)
	}
}

// TestProfilesAreOffByDefault: they are served where the configuration says so, and nowhere else.
func TestProfilesAreOffByDefault(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, on := range []bool{false, true} {
		l, err := listen(t.Context(), "metrics_listen", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		a := &App{store: s, metrics: l, log: slog.New(slog.DiscardHandler)}
		a.config.Profiling = on
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.serveMetrics(ctx) }()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.MetricsAddress()+"/debug/pprof/goroutine", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if served := answer.StatusCode == http.StatusOK; served != on {
			t.Errorf("profiling %v: status %d", on, answer.StatusCode)
		}
		_ = answer.Body.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
