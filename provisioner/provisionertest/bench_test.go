package provisionertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// busy is a control plane with one gateway and room for everybody. Clients,
// server and gateway share the machine: what is measured is all of them.
func busy(b *testing.B) *provisionertest.Server {
	b.Helper()
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats, d.Gateways[0].Sessions = 100_000, 50_000
	d.Tenants[0].Policy.DevicesPerPerson = 100
	s := provisionertest.StartWith(b, provisionertest.Options{People: 2000, Declaration: d})
	s.JoinGateway("gw1").Run()
	return s
}

// connected is an enrolled laptop with its connection.
type connected struct {
	provisionertest.Laptop

	client heimdrahtv1.SessionServiceClient
}

// laptops enrols n, with serial numbers from first on.
func laptops(b *testing.B, s *provisionertest.Server, first, n int) []connected {
	b.Helper()
	list := make([]connected, n)
	conn := s.Dial(nil)
	for i := range list {
		l, err := provisionertest.TryEnrol(b.Context(), conn, provisionertest.NewLaptop(b), provisionertest.Login((first+i)%2000), fmt.Sprint("SN", first+i))
		if err != nil {
			b.Fatal("enrolling: ", err)
		}
		list[i] = connected{Laptop: l, client: heimdrahtv1.NewSessionServiceClient(s.Dial(&l.Certificate))}
	}
	return list
}

// open opens a session on a new stream of a kept connection, which is what a
// laptop that wakes up does.
func (c connected) open(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.Attach(ctx)
	if err != nil {
		return err
	}
	answer, err := provisionertest.Open(stream, "")
	if err == nil && answer.GetOpened() == nil {
		err = fmt.Errorf("told %v", answer)
	}
	return err
}

// BenchmarkOpen is an opening from the laptop's call to the configuration in its
// hands: directory, seat, address, durable, installed and acknowledged by the
// gateway. The laptop's former session is closed by the way.
func BenchmarkOpen(b *testing.B) {
	s := busy(b)
	list := laptops(b, s, 0, 512) // taken in turn: one that opens in a loop is refused
	for _, callers := range []int{1, 64} {
		free := make(chan connected, len(list))
		for _, l := range list {
			free <- l
		}
		b.Run(fmt.Sprintf("laptops=%d", callers), func(b *testing.B) {
			together(b, callers, func(int, int) error {
				l := <-free
				defer func() { free <- l }()
				return l.open(b.Context())
			})
		})
	}
}

// BenchmarkEnrol is an enrolment over a kept connection: password, groups,
// certificate, durable with its audit record.
func BenchmarkEnrol(b *testing.B) {
	s := busy(b)
	serial := 0
	for _, callers := range []int{1, 64} {
		conns := make([]*grpc.ClientConn, callers)
		for i := range conns {
			conns[i] = s.DialFrom(fmt.Sprintf("127.0.1.%d", 1+i), nil) // one address alone is slowed down
		}
		b.Run(fmt.Sprintf("laptops=%d", callers), func(b *testing.B) {
			made := make([]provisionertest.Laptop, b.N)
			for i := range made {
				made[i] = provisionertest.NewLaptop(b)
			}
			first := serial
			serial += b.N
			together(b, callers, func(caller, i int) error {
				_, err := provisionertest.TryEnrol(b.Context(), conns[caller], made[i], provisionertest.Login((first+i)%2000), fmt.Sprint("SN", first+i))
				return err
			})
		})
	}
}

// BenchmarkRevoke is a revocation of a connected laptop until the gateway has
// confirmed that the peer is gone; alone, and while 32 laptops open sessions as
// fast as they can.
func BenchmarkRevoke(b *testing.B) {
	s := busy(b)
	desk := provisionertest.As(b.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	helpdesk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	serial := 0
	for _, others := range []int{0, 32} {
		b.Run(fmt.Sprintf("openings=%d", others), func(b *testing.B) {
			list := laptops(b, s, serial, b.N)
			serial += b.N
			for _, l := range list {
				if err := l.open(b.Context()); err != nil {
					b.Fatal("opening: ", err)
				}
			}
			crowd := laptops(b, s, serial, 8*others)
			serial += len(crowd)
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan struct{})
			for i := range others {
				go func() {
					defer func() { ended <- struct{}{} }()
					for n := 0; ctx.Err() == nil; n++ {
						if err := crowd[(8*i)+n%8].open(ctx); err != nil {
							<-time.After(time.Millisecond) // refused for opening too often
						}
					}
				}()
			}
			together(b, 1, func(_, i int) error {
				answer, err := helpdesk.RevokeDevice(desk, &heimdrahtv1.RevokeDeviceRequest{DeviceId: list[i].ID, Reason: "lost", Emergency: true})
				if c := answer.GetConfirmations(); err == nil && (len(c) != 1 || !c[0].GetConfirmed()) {
					err = fmt.Errorf("confirmations %v", c)
				}
				return err
			})
			stop()
			for range others {
				<-ended
			}
		})
	}
}

// together does b.N things, callers at a time, and reports beside the mean what
// one of a hundred callers has to wait.
func together(b *testing.B, callers int, do func(caller, i int) error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	done := make(chan error, callers)
	b.ResetTimer()
	for caller := range callers {
		go func() {
			var err error
			for err == nil {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					break
				}
				began := time.Now()
				err = do(caller, i)
				took[i] = time.Since(began)
			}
			done <- err
		}()
	}
	var err error
	for range callers {
		err = errors.Join(err, <-done)
	}
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
