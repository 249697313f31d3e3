package control_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

const (
	fleetLaptops = 1000
	victims      = 150 // to be revoked while a fleet returns
)

// plane is a control plane with room for a fleet, and its gateway.
func plane(b *testing.B) (*provisionertest.Server, *provisionertest.Gateway) {
	b.Helper()
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats, d.Gateways[0].Sessions = 100_000, 50_000
	d.Tenants[0].Policy.DevicesPerPerson = 100
	s := provisionertest.StartWith(b, provisionertest.Options{People: fleetLaptops, Declaration: d})
	g := s.JoinGateway("gw1")
	g.Run()
	return s, g
}

// BenchmarkConnectedLaptop is what a laptop costs that holds a session and says
// nothing: memory of the whole control plane, after it has given back what it
// does not need.
func BenchmarkConnectedLaptop(b *testing.B) {
	s, g := plane(b)
	f := startFleet(b, s, fleetOrder{Laptops: fleetLaptops})
	g.Stop() // it has been silent for too long to be given sessions
	g.Run()
	before := resident(b)
	f.say("connect")
	f.hear()
	after := resident(b)
	b.ReportMetric((after.rss-before.rss)/fleetLaptops, "rss-B/laptop")
	b.ReportMetric((after.heap-before.heap)/fleetLaptops, "heap-B/laptop")
	b.ReportMetric((after.stack-before.stack)/fleetLaptops, "stack-B/laptop")
	b.ReportMetric(float64(after.goroutines-before.goroutines)/fleetLaptops, "goroutines/laptop")
	b.ReportMetric(0, "ns/op")
}

type memory struct {
	rss, heap, stack float64 // bytes
	goroutines       int
}

func resident(b *testing.B) memory {
	b.Helper()
	for range 6 { // a stack shrinks by half with each collection
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	check(b, err)
	var size, pages int
	_, err = fmt.Sscan(string(text), &size, &pages)
	check(b, err)
	return memory{float64(pages * os.Getpagesize()), float64(m.HeapAlloc), float64(m.StackInuse), runtime.NumGoroutine()}
}

// BenchmarkReconnectStorm is a restart of the control plane under a fleet:
// seconds from serving again until all laptops have their sessions back,
// handshakes for nothing, and meanwhile how long the helpdesk needs to get in,
// and a revocation to be confirmed.
func BenchmarkReconnectStorm(b *testing.B) {
	for _, atOnce := range []bool{false, true} {
		name := "return=spread"
		if atOnce {
			name = "return=at-once"
		}
		b.Run(name, func(b *testing.B) {
			s, g := plane(b)
			token := s.Login(provisionertest.Tenant, provisionertest.Helpdesk)
			f := startFleet(b, s, fleetOrder{Laptops: fleetLaptops, AtOnce: atOnce})
			g.Stop() // it has been silent for too long to be given sessions
			g.Run()
			f.say("connect")
			before := f.hear()
			var back, entered time.Duration
			var revoked []time.Duration
			for range b.N {
				b.StopTimer()
				lost := lostLaptops(b, s)
				g.Stop()
				s.Stop()
				s.Run()
				g.Run()
				b.StartTimer()
				start := time.Now()
				all := make(chan fleetWord, 1)
				go func() { all <- f.hear() }()
				desk := helpdesk(b, s)
				entered += time.Since(start)
				w, during := fleetWord{}, true
				for _, device := range lost {
					if during {
						select {
						case w = <-all:
							during = false
							back += time.Since(start)
						default:
							revoked = append(revoked, revoke(b, desk, token, device))
						}
					}
				}
				if during {
					w = <-all
					back += time.Since(start)
				}
				b.ReportMetric(100*float64(w.Wasted-before.Wasted)/float64(w.Shaken-before.Shaken), "wasted-%")
			}
			slices.Sort(revoked)
			b.ReportMetric(back.Seconds()/float64(b.N), "s-until-back")
			b.ReportMetric(float64(entered.Milliseconds())/float64(b.N), "ms-helpdesk-in")
			b.ReportMetric(float64(revoked[len(revoked)/2].Microseconds())/1000, "revoke-ms-p50")
			b.ReportMetric(float64(revoked[len(revoked)*99/100].Microseconds())/1000, "revoke-ms-p99")
			b.ReportMetric(float64(len(revoked)), "revocations")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// lostLaptops opens sessions that will be revoked.
func lostLaptops(b *testing.B, s *provisionertest.Server) []string {
	b.Helper()
	list := make([]string, victims)
	for i := range list {
		conn := s.Dial(nil)
		l, err := provisionertest.TryEnrol(b.Context(), conn, provisionertest.NewLaptop(b), provisionertest.Login(i), fmt.Sprint("LOST", time.Now().UnixNano()))
		check(b, err)
		conn.Close()
		stream := s.Attach(b.Context(), l)
		answer, err := provisionertest.Open(stream, "")
		check(b, err)
		if answer.GetOpened() == nil {
			b.Fatal("not opened: ", answer)
		}
		list[i] = l.ID
	}
	return list
}

func helpdesk(b *testing.B, s *provisionertest.Server) heimdrahtv1.HelpdeskServiceClient {
	b.Helper()
	server, err := control.ParseServer(s.Address())
	check(b, err)
	pin, err := control.ParseFingerprint(s.Fingerprint())
	check(b, err)
	conn, err := control.Connect(b.Context(), control.Options{Servers: []control.Server{server}, Trust: control.Trust{Pin: pin}, First: true, Agent: "test"})
	check(b, err)
	b.Cleanup(func() { conn.Close() })
	return heimdrahtv1.NewHelpdeskServiceClient(conn)
}

func revoke(b *testing.B, desk heimdrahtv1.HelpdeskServiceClient, token, device string) time.Duration {
	b.Helper()
	start := time.Now()
	answer, err := desk.RevokeDevice(provisionertest.As(b.Context(), token), &heimdrahtv1.RevokeDeviceRequest{DeviceId: device, Reason: "lost", WaitMs: 30_000, Emergency: true})
	check(b, err)
	for _, c := range answer.GetConfirmations() {
		if !c.GetConfirmed() {
			b.Fatal("not confirmed: ", strings.TrimSpace(c.String()))
		}
	}
	return time.Since(start)
}
