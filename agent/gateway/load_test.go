package gateway

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestMeter(t *testing.T) {
	var m meter
	begin := time.Now()
	m.add(wireguard.Difference{Rx: 1 << 40}) // from before anybody measured
	if load := m.pass(begin, cpuTime{100, 1000}); load != nil {
		t.Errorf("the first pass tells %v", load)
	}
	m.add(wireguard.Difference{Rx: 20_000, Tx: 50_000})
	m.add(wireguard.Difference{Rx: 10_000})
	want := &heimdrahtv1.GatewayLoad{ReceivedBytesPerSecond: 1000, SentBytesPerSecond: 1666, CpuPermille: 250}
	if load := m.pass(begin.Add(30*time.Second), cpuTime{200, 1400}); !proto.Equal(load, want) {
		t.Errorf("%v, want %v", load, want)
	}
	// Counters of processors that go back, as after a restore of the machine, say nothing.
	if load := m.pass(begin.Add(time.Minute), cpuTime{}); !proto.Equal(load, &heimdrahtv1.GatewayLoad{}) {
		t.Errorf("%v", load)
	}
	if load := m.pass(begin, cpuTime{}); load != nil {
		t.Errorf("a span that ends before it began: %v", load)
	}
}

func TestParseCPU(t *testing.T) {
	for text, want := range map[string]cpuTime{
		"cpu  10 20 30 400 50 1 2 3 999 9\ncpu0 1 2 3 4\n": {busy: 66, all: 516},
		"cpu 1 2 3 4": {busy: 6, all: 10},
		"":            {}, "cpu": {}, "cpu a b c d e": {}, "intr 1 2 3 4": {}, "cpu 1 2 3 -4": {},
	} {
		if got := parseCPU(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	if got := readCPU(); got.all > 0 && got.busy == 0 {
		t.Errorf("this machine's processors: %+v", got)
	}
}
