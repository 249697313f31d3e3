package endpoint

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestFirstRenewalsAreSpread: laptops that open their sessions in one moment do not renew in one moment.
func TestFirstRenewalsAreSpread(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel) {
		earliest, latest := time.Hour, time.Duration(0)
		for range 100 {
			check(t, e.Up(t.Context()))
			p.mu.Lock()
			opened, before := p.openings[len(p.openings)-1], len(p.renewals)
			p.mu.Unlock()
			pass(72 * time.Second)
			p.mu.Lock()
			if len(p.renewals) == before {
				t.Fatal("no renewal after 72 s")
			}
			first := p.renewals[before].Sub(opened)
			p.mu.Unlock()
			earliest, latest = min(earliest, first), max(latest, first)
			check(t, e.Down(t.Context()))
		}
		if earliest < 48*time.Second || latest > 72*time.Second {
			t.Errorf("first renewals after %v to %v", earliest, latest)
		}
		if latest-earliest < 15*time.Second { // of 24 s, with a hundred draws
			t.Errorf("first renewals lie within %v", latest-earliest)
		}
	})
}

// TestClosedAgainAndAgain: a control plane that ends each session at once is asked more and more seldom; a session that
// can be held is held.
func TestClosedAgainAndAgain(t *testing.T) {
	ending := true
	script := func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			if m.GetOpen() == nil {
				return nil
			}
			id := fmt.Sprintf("s-%d", len(p.openings))
			if ending {
				s := p.streams[len(p.streams)-1]
				s.down <- openedOnPaper(id, false)
				return endpointtest.Closed(id, "session-expired", time.Second)
			}
			return openedOnPaper(id, false)
		}
	}
	onPaper(t, script, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		e.Want()
		pass(time.Hour)
		p.mu.Lock()
		n := len(p.openings)
		ending = false
		p.mu.Unlock()
		if n < 100 || n > 60*4+20 {
			t.Errorf("%d openings in an hour", n)
		}
		pass(time.Minute)
		if !tunnel.standing() {
			t.Fatal("no session, now that it could be held")
		}
	})
}

// TestOrdersWithoutEnd: orders each millisecond are not obeyed for long, the tunnel that stands stays, and status and log say why
// the control plane is left alone.
func TestOrdersWithoutEnd(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		var log bytes.Buffer
		e.log = slog.New(slog.NewTextHandler(&log, nil))
		check(t, e.Up(t.Context()))
		p.mu.Lock()
		flooded := p.streams[0]
		p.mu.Unlock()
		for i := range 10_000 {
			order := openedOnPaper("s-1", true)
			order.GetOpened().Configuration.Mtu = uint32(1300 + i%2)
			select {
			case flooded.down <- order:
			case <-flooded.ctx.Done():
			}
			<-time.After(time.Millisecond)
		}
		synctest.Wait()
		tunnel.mu.Lock()
		installs := tunnel.installs
		tunnel.mu.Unlock()
		if installs > 2*orderBurst {
			t.Errorf("installed %d times in 10 s", installs)
		}
		if flooded.ctx.Err() == nil {
			t.Error("the stream is still held")
		}
		if st := e.Status("de"); st.State != Connected || len(st.Notes) != 1 || st.Notes[0].Code != CodeServerErratic {
			t.Errorf("meanwhile: %+v", st)
		}
		if written := log.String(); strings.Count(written, "\n") != 1 || !strings.Contains(written, "more orders than anybody needs") {
			t.Errorf("logged %s", written)
		}
		pass(time.Minute)
		if st := e.Status("de"); !tunnel.standing() || tunnel.removals != 0 || st.State != Connected || !st.ControlPlane {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// TestTenYearsOff: of a control plane whose time is ten years away only that is believed that one of both clocks is wrong, which
// status and log say, the latter once.
func TestTenYearsOff(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	script := func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			if open := m.GetOpen(); open != nil {
				return openedOnPaper("s-1", open.GetResume() == "s-1")
			}
			then := timestamppb.New(time.Now().Add(-tenYears))
			return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
				SessionId: "s-1", LeaseUntil: then, ServerTime: then,
			}}}
		}
	}
	onPaper(t, script, func(t *testing.T, e *Endpoint, _ *paperPlane, tunnel *paperTunnel) {
		var log bytes.Buffer
		e.log = slog.New(slog.NewTextHandler(&log, nil))
		check(t, e.Up(t.Context()))
		pass(time.Hour)
		if st := e.Status("en"); st.State != Connected || len(st.Notes) != 1 || st.Notes[0].Code != control.CodeClockWrong || tunnel.removals != 0 {
			t.Errorf("told %+v after %d removals", st, tunnel.removals)
		}
		if written := log.String(); strings.Count(written, "\n") != 1 || !strings.Contains(written, "clock") {
			t.Errorf("logged %s", written)
		}
	})
}

// TestClockSetBack: a handshake from the future says nothing, and a living gateway counts again with its next one. The peer
// is not set up anew for it: that would discard the keys that work.
func TestClockSetBack(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for off, want := range map[time.Duration]bool{
		-10 * 365 * 24 * time.Hour: false, -181 * time.Second: false, -time.Second: true,
		time.Minute: true, 181 * time.Second: false, 10 * 365 * 24 * time.Hour: false,
	} {
		if got := (reading{handshake: now.Add(-off)}).alive(now); got != want {
			t.Errorf("a handshake %v ago: alive %v", off, got)
		}
		old := off > aliveFor
		if got := (&hostTunnel{lane: lane{sum: reading{handshake: now.Add(-off)}}}).silent(now); got != old {
			t.Errorf("a handshake %v ago: silent %v", off, got)
		}
	}
}

// TestConnectionsEndWithTheTunnel: a connection through a tunnel that is gone ends, and does not hang for ever.
func TestConnectionsEndWithTheTunnel(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"down", "revoked"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			e := s.laptop(nil)
			s.enrol(e)
			s.up(e)
			conn, err := e.DialContext(t.Context(), "tcp", endpointtest.Inside+":80")
			check(t, err)
			defer func() { _ = conn.Close() }()
			ended := make(chan error, 1)
			go func() {
				_, err := conn.Read(make([]byte, 1))
				ended <- err
			}()
			if end == "down" {
				check(t, e.Down(t.Context()))
			} else {
				s.Revoke("device-revoked")
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("something was received")
				}
			case <-time.After(5 * time.Second):
				t.Error("the connection hangs")
			}
		})
	}
}
