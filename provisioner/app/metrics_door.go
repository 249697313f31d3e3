package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/admission"
)

// doorCollector reads who comes in, who waits and who was not let in.
type doorCollector struct {
	stats       func() admission.Stats
	connections *prometheus.Desc
	handshakes  *prometheus.Desc
}

func newDoorCollector(stats func() admission.Stats) *doorCollector {
	return &doorCollector{
		stats: stats,
		connections: prometheus.NewDesc("heimdraht_connections",
			"Connections: inside, of which guests have shown no certificate of ours; arriving ones whose word is waited for; waiting ones that wait for us.",
			[]string{"state"}, nil),
		handshakes: prometheus.NewDesc("heimdraht_handshakes_total",
			"TLS handshakes begun and done; connections turned away or put out for want of a place, late, or gone before their turn.",
			[]string{"outcome"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *doorCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *doorCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for state, n := range map[string]int{"inside": s.Inside, "guest": s.Guests, "arriving": s.Arriving, "waiting": s.Waiting} {
		ch <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), state)
	}
	for outcome, n := range map[string]uint64{
		"begun": s.Begun, "done": s.Done, "turned_away": s.TurnedAway, "put_out": s.PutOut, "late": s.Late, "gone": s.Gone,
	} {
		ch <- prometheus.MustNewConstMetric(c.handshakes, prometheus.CounterValue, float64(n), outcome)
	}
}
