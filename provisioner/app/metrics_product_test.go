package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// Metrics name tenants only where the number tells of nobody, and tell of the last full hour.
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
	hour := time.Now().Add(-time.Minute).UTC().Truncate(time.Hour)
	if err := s.Update(t.Context(), func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		for tenant, people := range map[string]int{"stadt": 50, "dorf": 49} {
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: tenant, Directory: "ad"}))
			for i := range people {
				p, kept := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(tenant, i)})
				err = errors.Join(err, kept, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Entitled: true, ReadAt: tx.Now}))
			}
		}
		return errors.Join(err,
			tx.RaiseProductPeaks(hour.Add(-time.Hour), []store.ProductCount{
				{Tenant: "stadt", Product: "citrix", Sessions: 7}, {Tenant: "stadt", Product: "citrix", Version: "24.1", Sessions: 7},
				{Tenant: "dorf", Product: "citrix", Sessions: 9},
			}),
			tx.RaiseProductPeaks(hour, []store.ProductCount{{Tenant: "stadt", Product: "citrix", Sessions: 8}, {Tenant: "stadt", Product: "phone", Sessions: 8}}),
			tx.RaiseProductPeaks(hour.Add(-2*time.Hour), []store.ProductCount{{Tenant: "stadt", Product: "office", Sessions: 8}}),
			tx.PutProductCounts([]store.ProductCount{{Tenant: "stadt", Product: "citrix", Sessions: 9}}), tx.HoldProductCounts(time.Now().Add(time.Hour)))
	}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := newProductCollector(&App{store: s, log: log, metering: metering.New(metering.Options{Store: s, Logger: log})})
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	const want = `# HELP heimdraht_product_sessions The most sessions at one time in which a metered product was in use, in the last full hour. Numbers below 5 are left out, and tenants of fewer than 50 people.
# TYPE heimdraht_product_sessions gauge
heimdraht_product_sessions{product="citrix",tenant="stadt"} 7
`
	if got := answer.Body.String(); got != want {
		t.Errorf("got\n%s", got)
	}
}
