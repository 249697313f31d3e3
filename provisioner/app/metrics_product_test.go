package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// Metrics name tenants only where the number tells of nobody.
func TestProductMetrics(t *testing.T) {
	s, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Update(t.Context(), func(tx *store.Writer) error {
		if err := tx.PutProductCounts([]store.ProductCount{
			{Tenant: "stadt", Product: "citrix", Sessions: 7}, {Tenant: "stadt", Product: "citrix", Version: "24.1", Sessions: 7},
			{Tenant: "dorf", Product: "citrix", Sessions: 4},
		}); err != nil {
			return err
		}
		return tx.HoldProductCounts(time.Now().Add(time.Hour))
	}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := newProductCollector(&App{store: s, log: log, metering: metering.New(metering.Options{Store: s, Logger: log})})
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	const want = `# HELP heimdraht_product_sessions Sessions in which a metered product is in use. Numbers below 5 are left out.
# TYPE heimdraht_product_sessions gauge
heimdraht_product_sessions{product="citrix",tenant="stadt"} 7
`
	if got := answer.Body.String(); got != want {
		t.Errorf("got\n%s", got)
	}
}
