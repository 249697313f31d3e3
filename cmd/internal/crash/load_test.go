//go:build linux

package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// load are people, their laptops and a helpdesk: what they do at the same time,
// and what they were answered.
type load struct {
	*ledger

	t      testing.TB
	desk   string // token of the helpdesk
	people atomic.Int64

	// disturbed: something is being killed, so that errors are to be expected.
	disturbed atomic.Bool
	answers   atomic.Int64
	answered  chan struct{} // buffered by one: rings after each answer
}

func newLoad(t testing.TB, l *ledger) *load {
	return &load{t: t, ledger: l, answered: make(chan struct{}, 1)}
}

// await waits for n more answers.
func (l *load) await(n int64) {
	l.t.Helper()
	until := l.answers.Load() + n
	deadline := time.After(time.Minute)
	for l.answers.Load() < until {
		select {
		case <-l.answered:
		case <-deadline:
			l.t.Fatalf("%d of %d answers in a minute", l.answers.Load()-until+n, n)
		}
	}
}

// note keeps an answer, or reports an error that has no excuse; it tells
// whether to go on. A refusal is an answer.
func (l *load) note(what string, err error, keep func()) bool {
	if err != nil {
		if !l.disturbed.Load() {
			l.t.Errorf("%s: %v", what, err)
		}
		return false
	}
	l.Lock()
	keep()
	l.Unlock()
	l.answers.Add(1)
	select {
	case l.answered <- struct{}{}:
	default:
	}
	return true
}

// worker is one of those who do something at the same time.
type worker struct {
	*load

	plane  *provisionertest.Client
	conn   *grpc.ClientConn // anonymous, and the helpdesk's
	random *rand.Rand
}

// work keeps n workers busy with a control plane until stop is called, which
// waits for what they are doing, or abort, which does not.
func (l *load) work(c *provisionertest.Client, n int, seed, stream uint64) (stop, abort func()) {
	ctx, abortAll := context.WithCancel(context.Background())
	var ended atomic.Bool
	var group sync.WaitGroup
	for i := range n {
		random := rand.New(rand.NewPCG(seed, stream<<8|uint64(i)))
		group.Go(func() {
			// Signing in is slowed down for one address if tries are not answered.
			w := &worker{load: l, plane: c, random: random, conn: c.DialFrom(fmt.Sprintf("127.0.1.%d", 1+random.IntN(250)), nil)}
			defer w.conn.Close()
			for ctx.Err() == nil && !ended.Load() {
				if !w.one(ctx) && ctx.Err() == nil {
					return
				}
			}
		})
	}
	wait := func(end func()) func() {
		return func() {
			end()
			group.Wait()
			abortAll()
		}
	}
	return wait(func() { ended.Store(true) }), wait(abortAll)
}

// one lets somebody take a laptop, and do something with it.
func (w *worker) one(ctx context.Context) bool {
	d := w.borrow()
	if d == nil {
		var ok bool
		if d, ok = w.enrol(ctx); !ok {
			return false
		}
	}
	defer w.giveBack(d)
	own := w.plane.Dial(&d.Certificate)
	defer own.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(ctx)
	if err != nil {
		return w.note("attaching", err, nil)
	}
	s, ok := w.open(stream, d, "")
	if !ok || s == nil {
		return ok
	}
	switch w.random.IntN(6) {
	case 0, 1: // has worked enough
		return w.close(stream, s)
	case 2: // loses the laptop
		return w.revoke(ctx, d)
	case 3: // stays for longer
		return w.renew(stream, s)
	case 4: // opens another
		_, ok := w.open(stream, d, "")
		return ok
	default: // shuts the lid
		return true
	}
}

// borrow takes a laptop that nobody uses; nil: somebody new comes.
func (w *worker) borrow() *device {
	w.Lock()
	defer w.Unlock()
	if len(w.devices) == 0 || w.random.IntN(3) == 0 {
		return nil
	}
	// One of the last: who opens in a loop is refused for a while.
	d := w.devices[max(0, len(w.devices)-1-w.random.IntN(40))]
	if d.busy || d.revokeAsked {
		return nil
	}
	d.busy = true
	return d
}

func (w *worker) giveBack(d *device) { w.ask(func() { d.busy = false }) }

func (w *worker) enrol(ctx context.Context) (*device, bool) {
	n := int(w.people.Add(1) - 1)
	key := provisionertest.NewLaptop(w.t)
	laptop, err := provisionertest.TryEnrol(ctx, w.conn, key, provisionertest.Login(n%townPeople), fmt.Sprint("SN", n))
	// So is told, too, whom the directory answered too late about, as in an emulated machine beside other work. People try again.
	for again := 0; again < 3 && isRefused(control.FromStatus(err), provisioner.CodeSignInFailed); again++ {
		laptop, err = provisionertest.TryEnrol(ctx, w.conn, key, provisionertest.Login(n%townPeople), fmt.Sprint("SN", n))
	}
	d := &device{Laptop: laptop, busy: true}
	return d, w.note("enrolling", err, func() {
		w.devices = append(w.devices, d)
		w.known[d.ID] = d
	})
}

type attachment = grpc.BidiStreamingClient[heimdrahtv1.AttachRequest, heimdrahtv1.AttachResponse]

// open opens a session; none, and true, if there is a reason to refuse it.
func (w *worker) open(stream attachment, d *device, resume string) (*session, bool) {
	w.ask(func() {
		for _, s := range d.sessions {
			s.closeAsked = true
		}
	})
	answer, err := provisionertest.Open(stream, resume)
	if code := answer.GetRefused().GetCode(); code != "" && !w.excused(code) {
		err = fmt.Errorf("refused: %s", code)
	} else if err == nil && code == "" && answer.GetOpened() == nil && answer.GetWaiting() == nil { // who is to wait goes away
		err = fmt.Errorf("told %v", answer)
	}
	if err != nil || answer.GetOpened() == nil {
		return nil, w.note("opening", err, func() {})
	}
	s := &session{id: answer.GetOpened().GetSessionId(), leaseUntil: answer.GetOpened().GetLeaseUntil().AsTime()}
	return s, w.note("opening", nil, func() {
		for _, s := range d.sessions {
			s.closeAnswer = true
		}
		d.sessions = append(d.sessions, s)
		w.opened++
	})
}

// excused tells whether an opening may be refused so.
func (w *worker) excused(code string) bool {
	// On a starved machine a gateway may take longer than an opening waits for it.
	return slices.Contains([]string{"no-seat", "try-later", "gateway-not-ready"}, code) ||
		w.disturbed.Load() && slices.Contains([]string{"no-gateway", "database-unavailable"}, code)
}

func (w *worker) close(stream attachment, s *session) bool {
	w.ask(func() { s.closeAsked = true })
	err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: s.id}}})
	answer, broken := stream.Recv()
	if err = errors.Join(err, broken); err == nil && answer.GetClosed().GetSessionId() != s.id {
		err = fmt.Errorf("told %v", answer)
	}
	return w.note("closing", err, func() { s.closeAnswer = true; w.closed++ })
}

func (w *worker) renew(stream attachment, s *session) bool {
	err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: s.id}}})
	answer, broken := stream.Recv()
	if err = errors.Join(err, broken); err == nil && answer.GetRenewed() == nil {
		err = fmt.Errorf("told %v", answer)
	}
	return w.note("renewing", err, func() { s.leaseUntil = answer.GetRenewed().GetLeaseUntil().AsTime(); w.renewed++ })
}

func (w *worker) revoke(ctx context.Context, d *device) bool {
	w.ask(func() { d.revokeAsked = true })
	answer, err := heimdrahtv1.NewHelpdeskServiceClient(w.conn).RevokeDevice(provisionertest.As(ctx, w.desk),
		&heimdrahtv1.RevokeDeviceRequest{DeviceId: d.ID, Reason: "test", Emergency: true})
	for _, c := range answer.GetConfirmations() {
		if !c.GetConfirmed() && !w.disturbed.Load() {
			err = fmt.Errorf("gateway %s has not confirmed", c.GetGateway())
		}
	}
	return w.note("revoking", err, func() {
		d.revokeAnswer = true
		for _, s := range d.sessions {
			s.closeAsked, s.closeAnswer = true, true
		}
		w.revoked++
	})
}

// dead holds that a revoked device is told so.
func (w *worker) dead(ctx context.Context, d *device) {
	w.t.Helper()
	own := w.plane.Dial(&d.Certificate)
	defer own.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(ctx)
	must(w.t, "attaching", err)
	if answer, err := provisionertest.Open(stream, ""); status.Code(err) != codes.PermissionDenied && status.Code(err) != codes.Unauthenticated {
		w.t.Errorf("a revoked device is told %v, %v", answer, err)
	}
}
