package endpoint

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// largeFleet opens sessions with the word that laptops come back within a minute and a half.
func largeFleet(p *paperPlane) {
	p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
		if o := m.GetOpen(); o != nil {
			answer := openedOnPaper("s-1", o.GetResume() == "s-1")
			answer.GetOpened().ReturnWithinMs = 90_000
			return answer
		}
		return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
			SessionId: "s-1", LeaseUntil: timestamppb.New(time.Now().Add(5 * time.Minute)), ServerTime: timestamppb.Now(), ReturnWithinMs: 90_000,
		}}}
	}
}

// Laptops that lose the control plane together come back spread over the time that it named.
func TestLaptopsReturnSpread(t *testing.T) {
	var waits []time.Duration
	for range 40 {
		onPaper(t, largeFleet, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
			check(t, e.Up(t.Context()))
			pass(2 * time.Minute)
			lost := time.Now()
			p.mu.Lock()
			p.streams[0].cancel()
			p.mu.Unlock()
			pass(98 * time.Second) // and the shortest wait of the backoff
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.attaches) != 2 || !tunnel.standing() {
				t.Fatalf("%d attempts, tunnel standing: %v", len(p.attaches), tunnel.standing())
			}
			waits = append(waits, p.attaches[1].Sub(lost))
		})
	}
	third := make(map[time.Duration]int)
	for _, w := range waits {
		third[min(w/(30*time.Second), 2)]++
	}
	for i := range time.Duration(3) {
		if third[i] == 0 {
			t.Errorf("nobody comes back in one third of the time: %v", waits)
		}
	}
}

// One that has changed networks comes back at once, whatever happens to the stream.
func TestAnotherNetworkDoesNotWait(t *testing.T) {
	for name, brake := range map[string]func(p *paperPlane){
		"the stream is silent": func(p *paperPlane) {
			p.answer = func(*heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse { return nil }
		},
		"the stream breaks": func(p *paperPlane) { p.streams[0].cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				onPaper(t, largeFleet, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel) {
					check(t, e.Up(t.Context()))
					pass(2 * time.Minute)
					p.mu.Lock()
					brake(p)
					p.mu.Unlock()
					e.nudge()
					synctest.Wait()
					pass(probeWithin + time.Second)
					p.mu.Lock()
					defer p.mu.Unlock()
					if len(p.attaches) != 2 {
						t.Errorf("%d attempts", len(p.attaches))
					}
				})
			}
		})
	}
}
