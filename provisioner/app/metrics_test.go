package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestHealthFollowsTheDatabase(t *testing.T) {
	s, err := store.Open(t.Context(), storetest.SQLite(t))
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
	for _, on := range []bool{false, true} {
		a := &App{config: DefaultConfig()}
		if on {
			a.config.Profiling = true
		}
		mux := http.NewServeMux()
		a.addProfiles(mux)
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/goroutine", nil))
		if served := answer.Code == http.StatusOK; served != on {
			t.Errorf("profiling %v: status %d", on, answer.Code)
		}
	}
}
