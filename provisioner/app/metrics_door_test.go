package app

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/admission"
)

func TestTheDoorIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newDoorCollector(func() admission.Stats { return admission.Stats{Begun: 7, Done: 5, PutOut: 1, Guests: 2, Inside: 4} }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got = append(got, fmt.Sprintln(f.GetName(), m.GetLabel()[0].GetValue(), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	want := []string{
		"heimdraht_connections arriving 0\n", "heimdraht_connections guest 2\n", "heimdraht_connections inside 4\n", "heimdraht_connections waiting 0\n",
		"heimdraht_handshakes_total begun 7\n", "heimdraht_handshakes_total done 5\n", "heimdraht_handshakes_total gone 0\n",
		"heimdraht_handshakes_total late 0\n", "heimdraht_handshakes_total put_out 1\n", "heimdraht_handshakes_total turned_away 0\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
