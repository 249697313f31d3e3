package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// productCollector tells in how many sessions metered products were in use in the last full
// hour, which is about tenants: so numbers below capacity.Smallest are left out, and tenants of
// few people. There are as many as tenants have products (provisioner.MostProducts) at the most.
type productCollector struct {
	app      *App
	sessions *prometheus.Desc
}

func newProductCollector(a *App) *productCollector {
	return &productCollector{a, prometheus.NewDesc("heimdraht_product_sessions",
		"The most sessions at one time in which a metered product was in use, in the last full hour. Numbers below 5 are left out, and tenants of fewer than 50 people.", []string{"tenant", "product"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *productCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.sessions }

// Collect implements prometheus.Collector.
func (c *productCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := c.app.metering.InUse(ctx)
	if err != nil {
		c.app.log.Error("reading metrics of products", "error", err)
		ch <- prometheus.NewInvalidMetric(c.sessions, err)
		return
	}
	for _, p := range list {
		ch <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(p.Sessions), p.Tenant, p.Product)
	}
}
