package app

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// warningCollector tells how many warnings of capacity stand, and how it stands with their
// receiver. Tenants, and pools of few people, are counted without a name.
type warningCollector struct {
	app                                 *App
	standing, waiting, failing, givenUp *prometheus.Desc
}

func newWarningCollector(a *App) *warningCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("heimdraht_"+name, help, labels, nil)
	}
	return &warningCollector{
		app:      a,
		standing: d("capacity_warnings", "Warnings of capacity that stand.", "kind", "of", "name", "percent"),
		waiting:  d("warning_webhook_waiting_messages", "Messages of warnings that the receiver has not got yet."),
		failing:  d("warning_webhook_failing", "1 while the receiver does not take messages that wait; the log says why."),
		givenUp:  d("warning_webhook_given_up_messages", "Messages of the last 90 days that were not taken within three days."),
	}
}

// Describe implements prometheus.Collector.
func (c *warningCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *warningCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	standing, err := c.app.warning.Standing(ctx)
	if err != nil {
		c.app.log.Error("reading metrics of warnings", "error", err)
		ch <- prometheus.NewInvalidMetric(c.standing, err)
		return
	}
	for l, n := range standing {
		gauge(c.standing, float64(n), l.Kind, l.Of, l.Name, strconv.FormatInt(l.Percent, 10))
	}
	if c.app.warning.Webhook == nil {
		return
	}
	r, err := store.Read(ctx, c.app.store, (*store.Reader).Receiving)
	if err != nil {
		c.app.log.Error("reading metrics of warnings", "error", err)
		ch <- prometheus.NewInvalidMetric(c.waiting, err)
		return
	}
	gauge(c.waiting, float64(r.Waiting))
	gauge(c.givenUp, float64(r.GivenUp))
	if r.FailingSince.IsZero() {
		gauge(c.failing, 0)
	} else {
		gauge(c.failing, 1)
	}
}
