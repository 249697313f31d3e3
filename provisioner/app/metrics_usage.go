package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// usageCollector tells of the last full hour what planners of any tenant are told exactly:
// nothing of tenants and pools with fewer than 50 people, whose numbers are rounded, and
// nothing more often than once an hour.
type usageCollector struct {
	app                   *App
	tenants, pools, begin *prometheus.Desc
}

func newUsageCollector(a *App) *usageCollector {
	return &usageCollector{
		app:     a,
		tenants: prometheus.NewDesc("heimdraht_tenant_sessions_highest", "Most sessions of the tenant at one time within the last full hour, if enough people had one throughout.", []string{"tenant"}, nil),
		pools:   prometheus.NewDesc("heimdraht_licence_pool_sessions_highest", "Most seats of the pool that sessions held at one time within the last full hour, if that tells of nobody.", []string{"pool"}, nil),
		begin:   prometheus.NewDesc("heimdraht_usage_hour_timestamp_seconds", "When the last full hour began that usage is there of, in seconds since 1970.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *usageCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.tenants
	ch <- c.pools
	ch <- c.begin
}

// Collect implements prometheus.Collector.
func (c *usageCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, of := range []struct {
		kind usage.Kind
		desc *prometheus.Desc
	}{{usage.Tenants, c.tenants}, {usage.Pools, c.pools}} {
		at, list, err := c.app.usage.Latest(ctx, of.kind)
		if err != nil {
			c.app.log.Error("reading metrics of usage", "error", err)
			ch <- prometheus.NewInvalidMetric(of.desc, err)
			return
		}
		for name, v := range list {
			ch <- prometheus.MustNewConstMetric(of.desc, prometheus.GaugeValue, float64(v.Sessions.Max), name)
		}
		if of.kind == usage.Tenants && !at.IsZero() {
			ch <- prometheus.MustNewConstMetric(c.begin, prometheus.GaugeValue, float64(at.Unix()))
		}
	}
}
