package app

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// directoryCollector reads how directories are followed when it is asked. When the last change was is left out: with a small
// tenant it would tell when somebody's affairs changed.
type directoryCollector struct {
	app                                *App
	following, heard, reconciled, held *prometheus.Desc
}

func newDirectoryCollector(a *App) *directoryCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("heimdraht_directory_"+name, help, labels, nil)
	}
	return &directoryCollector{
		app:        a,
		following:  d("following", "1 while changes in the directory are noticed as they happen.", "directory"),
		heard:      d("heard_seconds", "When everything that the directory knew had been taken in, in seconds since 1970.", "directory"),
		reconciled: d("reconciled_seconds", "When the last full read of the directory came to its end, in seconds since 1970.", "directory"),
		held:       d("pending_people", "People who would lose their access and about whom nobody has decided, in all directories."),
	}
}

// Describe implements prometheus.Collector.
func (c *directoryCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect implements prometheus.Collector.
func (c *directoryCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	seconds := func(d *prometheus.Desc, t time.Time, directory string) {
		if !t.IsZero() { // else never yet, and no value
			gauge(d, float64(t.UnixMilli())/1000, directory)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.app.store.View(ctx, func(tx *store.Reader) error {
		list, err := tx.Followings()
		if err != nil {
			return err
		}
		tenants, err := tx.Tenants(provisioner.Everywhere())
		if err != nil {
			return err
		}
		now := time.Now()
		for _, f := range list {
			if !slices.ContainsFunc(tenants, func(t provisioner.Tenant) bool { return t.Directory == f.Directory }) {
				continue // its tenants have moved: nobody follows it any more, and nobody has to
			}
			live := 0.0
			if f.IsLive(now) {
				live = 1
			}
			gauge(c.following, live, f.Directory)
			seconds(c.heard, f.HeardAt, f.Directory)
			seconds(c.reconciled, f.ReconciledAt, f.Directory)
		}
		held, err := tx.HeldCounts()
		var all int64
		for _, n := range held {
			all += n
		}
		gauge(c.held, float64(all))
		return err
	})
	if err != nil {
		c.app.log.Error("reading metrics of directories", "error", err)
		ch <- prometheus.NewInvalidMetric(c.held, err)
	}
}
