package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// serveMetrics serves metrics and health, for this machine only, until ctx
// ends.
func (a *App) serveMetrics(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(a),
		newDoorCollector(a.server.Door), newPoolCollector(a), newDirectoryCollector(a), newAuditCollector(a), newProductCollector(a), newUsageCollector(a), newWarningCollector(a))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", a.healthz)
	a.addProfiles(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	ended := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer ended()
	if err := server.Serve(a.metrics); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics on %s: %w", a.metrics.Addr(), err)
	}
	return nil
}

// addProfiles adds Go's profiles, if the configuration asks for them.
func (a *App) addProfiles(mux *http.ServeMux) {
	if !a.config.Profiling {
		return
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // also gives heap, goroutine and the like
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
}

// healthz answers 200 while the database answers.
func (a *App) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := store.Read(ctx, a.store, (*store.Reader).Position); err != nil {
		a.log.Error("health", "error", err)
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // who asked may have gone
}

// collector reads the numbers when they are asked for. None of them is of a tenant's
// people: a small one's would tell of them (see metrics_product.go for those that are).
type collector struct {
	app                                           *App
	revision, waiting, connected, sessions, limit *prometheus.Desc
	writable, journal, journaled, caEnds, crisis  *prometheus.Desc
}

func newCollector(a *App) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("heimdraht_"+name, help, labels, nil)
	}
	return &collector{
		app:       a,
		revision:  d("revision", "Number of the last change."),
		waiting:   d("store_waiting_updates", "Updates that wait for the next transaction."),
		connected: d("gateway_connected", "1 while the gateway's stream is up and alive.", "gateway"),
		sessions:  d("gateway_sessions", "Sessions open on the gateway.", "gateway"),
		limit:     d("gateway_sessions_limit", "Sessions that the gateway may have.", "gateway"),
		crisis:    d("tenant_crisis", "1 while the tenant's crisis mode is on.", "tenant"),
		writable:  d("database_writable", "1 while the database can be written."),
		journal:   d("revocation_journal_writable", "1 while the revocation journal can be written."),
		journaled: d("revocation_journal_revision", "Up to which change the revocation journal has come."),
		caEnds:    d("ca_not_after_seconds", "When the CA that issues ends, in seconds since 1970."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.app.store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		gauge(c.revision, float64(position.Revision))
		gateways, err := tx.Gateways()
		if err != nil {
			return err
		}
		now := time.Now()
		for _, g := range gateways {
			up := 0.0
			if g.Reachable(now) {
				up = 1
			}
			gauge(c.connected, up, g.Name)
			gauge(c.sessions, float64(g.Open), g.Name)
			gauge(c.limit, float64(g.Sessions), g.Name)
		}
		tenants, err := tx.IdleTimes()
		if err != nil {
			return err
		}
		for _, t := range tenants {
			on := 0.0
			if t.InCrisis {
				on = 1
			}
			gauge(c.crisis, on, t.Tenant)
		}
		return nil
	})
	is := func(d *prometheus.Desc, yes bool) {
		v := 0.0
		if yes {
			v = 1
		}
		gauge(d, v)
	}
	gauge(c.waiting, float64(c.app.store.Waiting()))
	is(c.writable, c.app.store.Writable())
	upto, failure := c.app.journal.State()
	is(c.journal, failure == nil)
	gauge(c.journaled, float64(upto))
	gauge(c.caEnds, float64(c.app.keys.now().authority.Certificate().NotAfter.Unix()))
	if err != nil {
		c.app.log.Error("reading metrics", "error", err)
		ch <- prometheus.NewInvalidMetric(c.revision, err)
	}
}
