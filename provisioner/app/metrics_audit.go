package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// auditCollector reads how the audit log's copy at the collector stands when it is asked, and
// whether chains were changed in the database. Which ones stands in the log.
type auditCollector struct {
	app                                      *App
	broken, waiting, behind, failing, failed *prometheus.Desc
}

func newAuditCollector(a *App) *auditCollector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("heimdraht_audit_"+name, help, nil, nil)
	}
	return &auditCollector{
		app:     a,
		broken:  d("broken_chains", "Audit chains that were changed in the database and get no checkpoint, as this replica found."),
		waiting: d("collector_waiting_records", "Audit records that the collector has not got yet."),
		behind:  d("collector_behind_seconds", "Age of the oldest audit record that the collector has not got yet; 0: it has all."),
		failing: d("collector_failing", "1 while this replica is the one that sends, and the collector does not take the audit log."),
		failed:  d("collector_failing_since_seconds", "Since when that is so, in seconds since 1970; the log says why."),
	}
}

// Describe implements prometheus.Collector.
func (c *auditCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *auditCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(c.broken, float64(len(c.app.auditing.BrokenChains())))
	if c.app.auditing.Collector == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.app.store.View(ctx, func(tx *store.Reader) error {
		n, oldest, err := tx.AuditWaiting()
		if err != nil {
			return err
		}
		gauge(c.waiting, float64(n))
		behind := 0.0
		if !oldest.IsZero() {
			behind = time.Since(oldest).Seconds()
		}
		gauge(c.behind, behind)
		return nil
	}); err != nil {
		c.app.log.Error("reading metrics", "error", err)
		ch <- prometheus.NewInvalidMetric(c.waiting, err)
	}
	if state := c.app.auditing.CollectorState(); state.Failing {
		gauge(c.failing, 1)
		gauge(c.failed, float64(state.Since.Unix()))
	} else if state.Tried {
		gauge(c.failing, 0)
	}
}
