package gateway

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// statFile tells how busy the processors were. Where there is none nothing is said of them.
const statFile = "/proc/stat"

// meter measures how busy this gateway is, from one whole pass of observations to the
// next. The zero meter begins with the first one.
type meter struct {
	since  time.Time // zero: nothing was measured yet
	rx, tx uint64    // since then
	cpu    cpuTime
}

// cpuTime is for how long the processors worked, in the kernel's ticks.
type cpuTime struct{ busy, all uint64 }

// add counts what a peer moved.
func (m *meter) add(d wireguard.Difference) { m.rx, m.tx = m.rx+d.Rx, m.tx+d.Tx }

// pass ends a span and begins the next. It gives nil for the first one, of which the
// beginning is not known.
func (m *meter) pass(now time.Time, cpu cpuTime) *heimdrahtv1.GatewayLoad {
	was := *m
	*m = meter{since: now, cpu: cpu}
	span := now.Sub(was.since).Seconds()
	if was.since.IsZero() || span <= 0 {
		return nil
	}
	load := &heimdrahtv1.GatewayLoad{
		ReceivedBytesPerSecond: uint64(float64(was.rx) / span), SentBytesPerSecond: uint64(float64(was.tx) / span),
	}
	if cpu.all > was.cpu.all && cpu.busy >= was.cpu.busy && was.cpu.all > 0 {
		load.CpuPermille = uint32(min(1000, 1000*(cpu.busy-was.cpu.busy)/(cpu.all-was.cpu.all)))
	}
	return load
}

// readCPU asks the kernel; the zero cpuTime where it cannot be asked.
func readCPU() cpuTime {
	content, err := os.ReadFile(statFile)
	if err != nil {
		return cpuTime{}
	}
	return parseCPU(string(content))
}

// parseCPU reads the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq, steal, and guests, which are in user already.
func parseCPU(stat string) (t cpuTime) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return cpuTime{}
	}
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(field, 10, 60)
		if err != nil {
			return cpuTime{}
		}
		t.all += n
		if i != 3 && i != 4 { // idle, and waiting for disks
			t.busy += n
		}
	}
	return t
}
