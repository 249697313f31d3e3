package endpoint

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// doublePlane answers as a control plane that gives each session beside the former one.
type doublePlane struct {
	agedPlane
	n      int
	held   string // the present session
	left   string // the one beside it
	asked  []*heimdrahtv1.OpenSession
	mu     sync.Mutex
	within time.Duration // how long the former one may stay; zero: none does
}

func (d *doublePlane) answer(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
	open := m.GetOpen()
	if open == nil {
		return d.agedPlane.answer(m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, open)
	resumed := open.GetResume() != "" && open.GetResume() == d.held
	switch {
	case resumed && open.GetLeaving() != d.left:
		d.left = ""
	case !resumed:
		d.left = ""
		if open.GetBeside() && d.within > 0 {
			d.left = d.held
		}
		d.n++
		d.held = fmt.Sprint("s-", d.n)
	}
	answer := openedOnPaper(d.held, resumed)
	if d.left != "" {
		answer.GetOpened().Leaving = &heimdrahtv1.LeavingSession{SessionId: d.left, WithinMs: d.within.Milliseconds()}
	}
	return answer
}

func (d *doublePlane) last() (n int, asked *heimdrahtv1.OpenSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked), d.asked[len(d.asked)-1]
}

// moveWithin is over how long laptops spread.
const moveWithin = 20 * time.Second

// draining says that the gateway of a session is to be left, and that the next one can be had beside it.
func draining(session string) *heimdrahtv1.AttachResponse {
	m := endingOn(session, codeGatewayDraining, time.Hour)
	m.GetEnding().Beside, m.GetEnding().SpreadMs = true, moveWithin.Milliseconds()
	return m
}

// beside runs a laptop that holds two, until it does.
func beside(t *testing.T, within time.Duration, test func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel, d *doublePlane)) {
	t.Helper()
	d := &doublePlane{within: within}
	onPaper(t, func(p *paperPlane) { p.answer = d.answer }, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		tunnel.mu.Lock()
		tunnel.two = true
		busy := uint64(0)
		tunnel.moved = func() uint64 { busy += 1 << 20; return busy } // she works on and on
		tunnel.mu.Unlock()
		check(t, e.Up(t.Context()))
		p.order(draining("s-1"))
		time.Sleep(moveWithin + time.Second)
		synctest.Wait()
		test(t, e, p, tunnel, d)
	})
}

func (p *paperPlane) closed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.closings)
}

// A laptop whose gateway is drained moves at once, although its person works. It keeps the former session until the
// connections in it have ended for a while, tells the control plane, and names it when a stream breaks meanwhile.
func TestMovesBeside(t *testing.T) {
	beside(t, time.Hour, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel, d *doublePlane) {
		if e.heldSession().id != "s-2" || e.formerSession() != "s-1" {
			t.Fatalf("it holds %s beside %q", e.heldSession().id, e.formerSession())
		}
		p.mu.Lock()
		p.streams[len(p.streams)-1].cancel()
		p.mu.Unlock()
		time.Sleep(time.Minute)
		if n, asked := d.last(); n != 3 || asked.GetResume() != "s-2" || asked.GetLeaving() != "s-1" {
			t.Errorf("the %d. opening: %v", n, asked)
		}
		// A connection is there, and then only what knows no connections.
		time.Sleep(10 * time.Minute)
		if e.formerSession() != "s-1" {
			t.Fatal("it was let go of with a connection in it")
		}
		moved := uint64(0)
		for range 60 {
			moved += 1000
			tunnel.carry(formerReading{there: true, moved: moved})
			time.Sleep(time.Second)
		}
		if e.formerSession() != "s-1" {
			t.Fatal("it was let go of while a call went on")
		}
		rests := time.Now()
		for e.formerSession() != "" {
			time.Sleep(100 * time.Millisecond)
			if time.Since(rests) > time.Minute {
				t.Fatal("it is never let go of")
			}
		}
		if took := time.Since(rests); took < restFor-2*formerEvery || took > restFor+2*formerEvery {
			t.Errorf("let go of after %v", took)
		}
		synctest.Wait()
		if got := p.closed(); len(got) != 1 || got[0] != "s-1" {
			t.Errorf("closed: %v", got)
		}
		if e.heldSession().id != "s-2" || tunnel.former().there {
			t.Error("the tunnel was not let go of")
		}
	})
}

// However it ends: at its time, by the control plane, with the present one, and where somebody takes its interface away.
func TestTheFormerSessionEnds(t *testing.T) {
	for name, end := range map[string]func(e *Endpoint, p *paperPlane, tunnel *paperTunnel){
		"at its time": func(*Endpoint, *paperPlane, *paperTunnel) { time.Sleep(20 * time.Minute) },
		"by the control plane": func(_ *Endpoint, p *paperPlane, _ *paperTunnel) {
			p.order(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Closed{Closed: &heimdrahtv1.SessionClosed{
				SessionId: "s-1", Why: &heimdrahtv1.Refusal{Code: "session-elsewhere"},
			}}})
		},
		"its interface is gone": func(_ *Endpoint, _ *paperPlane, tunnel *paperTunnel) { tunnel.carry(formerReading{}) },
	} {
		t.Run(name, func(t *testing.T) {
			beside(t, 20*time.Minute, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel, _ *doublePlane) {
				end(e, p, tunnel)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if e.formerSession() != "" || tunnel.former().there || e.heldSession() == nil || e.heldSession().id != "s-2" {
					t.Errorf("it holds %+v beside %q", e.heldSession(), e.formerSession())
				}
			})
		})
	}
	beside(t, time.Hour, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel, _ *doublePlane) {
		check(t, e.Down(t.Context()))
		if e.formerSession() != "" || tunnel.former().there || tunnel.standing() {
			t.Error("something is left of two sessions")
		}
		if got := p.closed(); len(got) != 1 || got[0] != "s-2" {
			t.Errorf("closed: %v", got) // the control plane closes both with it
		}
	})
}

// Where the second interface cannot be had the next session takes the place of the former, as it does with a control
// plane that leaves nothing beside it; the control plane hears so.
func TestNotBesideAfterAll(t *testing.T) {
	d := &doublePlane{within: time.Hour}
	onPaper(t, func(p *paperPlane) { p.answer = d.answer }, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		tunnel.mu.Lock()
		tunnel.two, tunnel.taken = true, true
		tunnel.mu.Unlock()
		check(t, e.Up(t.Context()))
		p.order(draining("s-1"))
		time.Sleep(moveWithin + time.Second)
		synctest.Wait()
		if got := p.closed(); e.heldSession().id != "s-2" || e.formerSession() != "" || len(got) != 1 || got[0] != "s-1" {
			t.Errorf("it holds %s beside %q and closed %v", e.heldSession().id, e.formerSession(), got)
		}
	})
	beside(t, 0, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel, _ *doublePlane) {
		if e.heldSession().id != "s-2" || e.formerSession() != "" || len(p.closed()) != 0 {
			t.Errorf("it holds %s beside %q and closed %v", e.heldSession().id, e.formerSession(), p.closed())
		}
	})
}

func TestSecondName(t *testing.T) {
	for name, want := range map[string]string{"hd0": "hd1", "wg10": "wg11", "heimdraht": "heimdrahtb", "abcdefghijklmno": "abcdefghijklmnb"} {
		if got := secondName(name); got != want || len(got) > maxName || strings.EqualFold(got, name) {
			t.Errorf("beside %s: %s, want %s", name, got, want)
		}
	}
}
