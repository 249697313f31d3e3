package endpoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// scene is a laptop in the world of one line of the table. What it finds there can be changed at any time.
type scene struct {
	t       *testing.T
	e       *Endpoint
	plane   *paperPlane
	tunnel  *sceneTunnel
	changed chan struct{}
	woke    chan struct{}

	mu sync.Mutex
	// away is why nobody reaches the control plane. Nil: it is reached.
	away error
	// online: the machine has an address.
	online bool
	// page is where the network leads browsers first. Empty: nowhere.
	page string
	// clock is how far the laptop's clock is behind that of the control plane.
	clock time.Duration
	// number is that of the session that the control plane holds.
	number int
}

// attach opens a stream as far as this world lets it.
func (s *scene) attach(wish context.Context) (stream, context.CancelFunc, error) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away != nil {
		s.plane.mu.Lock()
		s.plane.attaches = append(s.plane.attaches, time.Now())
		s.plane.mu.Unlock()
		return nil, nil, away
	}
	return s.plane.attach(wish)
}

// answer is what the control plane says. It is called under the plane's lock.
func (s *scene) answer(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := timestamppb.New(time.Now().Add(s.clock))
	if s.away != nil {
		return nil // what was sent is lost
	}
	switch event := m.GetEvent().(type) {
	case *heimdrahtv1.AttachRequest_Open:
		id := fmt.Sprint("s-", s.number)
		return openedOnPaper(id, event.Open.GetResume() == id)
	case *heimdrahtv1.AttachRequest_Renew:
		return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
			SessionId: event.Renew.GetSessionId(), LeaseUntil: now, ServerTime: now,
		}}}
	}
	return nil
}

// loses has the stream die. silently: nobody tells the laptop.
func (s *scene) loses(silently bool) {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	last := s.plane.streams[len(s.plane.streams)-1]
	if silently {
		last.deaf = true
	} else {
		last.cancel()
	}
}

// find says in which world the laptop is now.
func (s *scene) find(away error, udp, online bool, page string) {
	s.mu.Lock()
	s.away, s.online, s.page = away, online, page
	s.mu.Unlock()
	s.tunnel.mu.Lock()
	s.tunnel.udp = udp
	s.tunnel.mu.Unlock()
}

// well is a network in which all works.
func (s *scene) well() { s.find(nil, true, true, "") }

// offline is none.
func (s *scene) offline() { s.find(unreachableOnPaper(), false, false, "") }

// sets the laptop's clock, which is as far behind then.
func (s *scene) sets(behind time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = behind
}

// removals are how often the tunnel was taken away.
func (s *scene) removals() int {
	s.tunnel.mu.Lock()
	defer s.tunnel.mu.Unlock()
	return s.tunnel.removals
}

// roams says that the machine's addresses have changed.
func (s *scene) roams() { s.changed <- struct{}{} }

// sleeps for a night: keys, session and stream do not outlive it.
func (s *scene) sleeps() {
	s.loses(true)
	s.mu.Lock()
	s.number++
	s.mu.Unlock()
	s.tunnel.mu.Lock()
	s.tunnel.keys, s.tunnel.heard = false, time.Now().Add(-8*time.Hour)
	s.tunnel.mu.Unlock()
}

func (s *scene) wakes() { s.woke <- struct{}{} }

// dial leads to the page that the network leads to.
func (s *scene) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	page := s.page
	s.mu.Unlock()
	if page == "" {
		return nil, io.ErrUnexpectedEOF
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
			_, _ = fmt.Fprintf(far, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", page)
		}
	}()
	return near, nil
}

// works says that traffic flows, and that the control plane is there.
func (s *scene) works() bool {
	status := s.e.Status("en")
	s.tunnel.mu.Lock()
	defer s.tunnel.mu.Unlock()
	return status.State == Connected && status.ControlPlane && s.tunnel.udp && s.tunnel.keys && len(status.Notes) == 0
}

// attempts are all that the laptop has asked so far.
func (s *scene) attempts() int {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	return len(s.plane.attaches) + len(s.plane.openings) + len(s.plane.renewals)
}

// sceneTunnel is a tunnel whose gateway answers where the network lets UDP through and both know the keys.
type sceneTunnel struct {
	paperTunnel
	udp, keys bool
	heard     time.Time
}

func (t *sceneTunnel) reading() reading {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return reading{}
	}
	if t.udp && t.keys {
		t.heard = time.Now()
	}
	return reading{installed: time.Now().Add(-time.Hour), handshake: t.heard, received: 1, sent: 1}
}

func (t *sceneTunnel) install(ctx context.Context, s *settings, fresh bool) error {
	t.wake(ctx)
	return t.paperTunnel.install(ctx, s, fresh)
}

// wake makes a handshake, if the network lets it through.
func (t *sceneTunnel) wake(context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = t.keys || t.udp
}

func (t *sceneTunnel) settle(ctx context.Context) { t.wake(ctx) }
func (t *sceneTunnel) tend(ctx context.Context)   { t.wake(ctx) }

func unreachableOnPaper() *control.Problem {
	return &control.Problem{Code: control.CodeServerUnreachable, RetryAfter: time.Second}
}

func untrustedOnPaper() *control.Problem {
	return &control.Problem{Code: control.CodeServerUntrusted}
}

// situationOnPaper is one line of the table.
type situationOnPaper struct {
	name string
	// fresh: she wants to be connected only now; else she is, and all works.
	fresh bool
	// begins is what happens, and lasts for how long. during happens each minute of it.
	begins, during func(*scene)
	lasts          time.Duration
	// said is the code of what she is told at the end of it, or of a note. Empty: nothing is.
	said string
	// most is how often the laptop asks anything meanwhile, renewals included.
	most int
	// ends is how it ends, and back how soon all works again. Zero: it does not by itself.
	ends func(*scene)
	back time.Duration
	// cut: the tunnel is taken away meanwhile. Else it must not be.
	cut bool
}

func situationsOnPaper() []situationOnPaper {
	well := (*scene).well
	return []situationOnPaper{
		{name: "the lid was closed for a night, at home", begins: (*scene).sleeps, ends: (*scene).wakes, back: 2 * time.Second},
		{name: "wakes up in another Wi-Fi, which takes three seconds to be there", begins: func(s *scene) {
			s.sleeps()
			s.offline()
			s.wakes()
		}, lasts: 3 * time.Second, said: CodeNoNetwork, most: 2, ends: func(s *scene) { s.well(); s.roams() }, back: 2 * time.Second},
		{name: "wakes up and finds no network for a night", begins: func(s *scene) { s.sleeps(); s.offline(); s.wakes() }, lasts: 8 * time.Hour, said: CodeNoNetwork,
			most: 8 * 60 * 4, ends: func(s *scene) { s.well(); s.roams() }, back: 2 * time.Second},
		{name: "a train: 20 s of tunnel every 3 min", during: func(s *scene) {
			if time.Now().Minute()%3 == 0 {
				s.find(unreachableOnPaper(), false, true, "")
				pass(20 * time.Second)
				s.well()
			}
		}, lasts: time.Hour, most: 120, back: 40 * time.Second},
		{name: "a hotel wants a sign-in, and has it after five minutes", fresh: true, begins: func(s *scene) {
			s.find(untrustedOnPaper(), false, true, "http://login.hotel.example/")
		}, lasts: 5 * time.Minute, said: CodeCaptivePortal, most: 65, ends: well, back: 7 * time.Second},
		{name: "wakes up in a hotel that wants a sign-in", begins: func(s *scene) {
			s.sleeps()
			s.find(unreachableOnPaper(), false, true, "http://login.hotel.example/")
			s.wakes()
		}, lasts: 5 * time.Minute, said: CodeCaptivePortal, most: 65, ends: well, back: 7 * time.Second},
		{name: "UDP is blocked; then the phone's network", begins: func(s *scene) { s.find(nil, false, true, ""); s.roams() }, lasts: 4 * time.Minute, said: CodeGatewaySilent,
			most: 10, ends: func(s *scene) { s.well(); s.roams() }, back: 2 * time.Second},
		{name: "DNS lies: another server in its place", fresh: true, begins: func(s *scene) { s.find(untrustedOnPaper(), true, true, "") }, lasts: 10 * time.Minute, said: control.CodeServerUntrusted,
			most: 45, ends: well, back: 46 * time.Second},
		{name: "the clock is 3 h behind", begins: func(s *scene) { s.sets(3 * time.Hour) }, lasts: 5 * time.Minute, said: control.CodeClockWrong, most: 7,
			ends: func(s *scene) { s.sets(0) }, back: 75 * time.Second},
		{name: "the clock is ten years off", begins: func(s *scene) { s.sets(-10 * 365 * 24 * time.Hour) }, lasts: 5 * time.Minute, said: control.CodeClockWrong, most: 7,
			ends: func(s *scene) { s.sets(0) }, back: 75 * time.Second},
		{name: "the certificate expired over the holidays", fresh: true, begins: func(s *scene) {
			s.find(refusedOnPaper(codeCertificateExpired), true, true, "")
		}, lasts: 24 * time.Hour, said: codeCertificateExpired, most: 1, ends: func(s *scene) { s.well(); s.e.Want() }, back: time.Second},
		{name: "revoked while it was asleep", begins: func(s *scene) {
			s.sleeps()
			s.find(refusedOnPaper(codeDeviceRevoked), false, true, "")
			s.wakes()
		}, lasts: 24 * time.Hour, said: codeDeviceRevoked, most: 1, cut: true},
		{name: "the gateway has moved to another address", begins: func(s *scene) {
			moved := openedOnPaper("s-0", true)
			moved.GetOpened().Configuration.GatewayEndpoint = "192.0.2.77:51820"
			s.plane.order(moved)
		}, lasts: time.Minute, most: 2, back: time.Millisecond},
		{name: "the control plane is down for a day", begins: func(s *scene) { s.find(unreachableOnPaper(), true, true, ""); s.loses(false) }, lasts: 24 * time.Hour, said: CodeServerAway,
			most: 24 * 60 * 5, ends: well, back: 36 * time.Second},
		{name: "the router forgets the connection to the control plane", begins: func(s *scene) { s.loses(true) }, lasts: 72 * time.Second, most: 3, back: 31 * time.Second},
		{name: "another network, while the stream is dead without a word", begins: func(s *scene) { s.loses(true); s.roams() }, lasts: time.Second, most: 2, back: probeWithin + time.Second},
		{name: "cable and Wi-Fi take turns, each second for an hour", begins: func(s *scene) {
			go func() {
				for range 3600 {
					select {
					case s.changed <- struct{}{}:
					default:
					}
					time.Sleep(time.Second) // of the bubble
				}
			}()
		}, lasts: time.Hour, most: 3600/5 + 100, back: time.Millisecond},
		{name: "a lid that opens and closes each second for ten minutes", begins: func(s *scene) {
			go func() {
				for range 600 {
					s.woke <- struct{}{}
					time.Sleep(time.Second) // of the bubble
				}
			}()
		}, lasts: 10*time.Minute + time.Second, most: 3 * 601, back: 2 * time.Second},
	}
}

func refusedOnPaper(code string) error {
	return control.FromStatus(mustStatus(status.New(codes.PermissionDenied, code).WithDetails(
		&heimdrahtv1.Refusal{Code: code, Sentence: "Nein.", NextStep: "Weiter."})).Err())
}

func mustStatus(s *status.Status, err error) *status.Status {
	if err != nil {
		panic(err)
	}
	return s
}

// TestSituationsOnPaper are situations of laptops, each a real one: what is said, how often is asked, and how soon it works
// again. What happens between WireGuard and the network is not on paper: TestBackAfterSleep, TestSecondAddress, TestWhatFits.
func TestSituationsOnPaper(t *testing.T) {
	for _, line := range situationsOnPaper() {
		t.Run(line.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { onScene(t, line) })
		})
	}
}

func onScene(t *testing.T, line situationOnPaper) {
	s := &scene{t: t, plane: &paperPlane{}, tunnel: &sceneTunnel{udp: true}, changed: make(chan struct{}, 1), woke: make(chan struct{}), online: true}
	s.plane.answer = s.answer
	e, err := New(Options{
		Store: &control.MemoryStore{}, Device: wireguard.Options{Mode: wireguard.Netstack}, Servers: []control.Server{{Host: "vpn.stadt.example", Port: 8443}},
		NetworkChanged: s.changed, Woke: s.woke, Dial: s.dial, Logger: slog.New(slog.DiscardHandler),
		Online: func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.online },
	})
	check(t, err)
	s.e, e.tunnel, e.plane, e.identity = e, s.tunnel, s, identityOnPaper(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	defer func() {
		s.well()
		cancel()
		check(t, <-done)
	}()
	if !line.fresh {
		check(t, e.Up(t.Context()))
		pass(2 * time.Minute)
		if !s.works() {
			t.Fatalf("at first: %+v", e.Status("en"))
		}
	}

	asked, removals := s.attempts(), s.removals()
	if line.begins != nil {
		line.begins(s)
	}
	if line.fresh {
		e.Want()
	}
	for until := time.Now().Add(line.lasts); time.Now().Before(until); {
		if line.during != nil {
			line.during(s)
		}
		pass(min(time.Until(until), time.Minute))
	}
	st := e.Status("en")
	told := st.Code == line.said || slices.ContainsFunc(st.Notes, func(n Note) bool { return n.Code == line.said })
	if line.lasts > 0 && !told {
		t.Errorf("she is told %q and %+v, want %q", st.Code, st.Notes, line.said)
	}
	if n := s.attempts() - asked; n > line.most {
		t.Errorf("asked %d times, want %d at most", n, line.most)
	}
	if gone := s.removals() > removals; gone != line.cut {
		t.Errorf("the tunnel was taken away: %v", gone)
	}
	if line.back == 0 {
		return
	}
	if line.ends != nil {
		line.ends(s)
	}
	ended := time.Now()
	for synctest.Wait(); !s.works(); pass(10 * time.Millisecond) {
		if time.Since(ended) > line.back {
			t.Fatalf("after %v: %+v", time.Since(ended), e.Status("en"))
		}
	}
	t.Logf("asked %d times, back after %v", s.attempts()-asked, time.Since(ended))
}
