package provisioner_test

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestExpired(t *testing.T) {
	noon := time.Date(2027, 1, 11, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return noon.Add(-d) }
	const m = time.Minute
	for _, c := range []struct {
		name      string
		session   provisioner.Session
		serving   time.Duration // since
		connected bool
		want      bool
	}{
		{"lease runs", provisioner.Session{LeaseUntil: noon.Add(m), RenewedAt: before(4 * m)}, time.Hour, true, false},
		{"lease over, gateway saw nothing for long",
			provisioner.Session{LeaseUntil: before(5 * m), RenewedAt: before(10 * m), ObservedAt: before(m), LastHandshake: before(9 * m)}, time.Hour, true, true},
		{"lease over, traffic goes on",
			provisioner.Session{LeaseUntil: before(5 * m), RenewedAt: before(10 * m), ObservedAt: before(m), LastHandshake: before(2 * m)}, time.Hour, true, false},
		{"lease over, the gateway has not looked since",
			provisioner.Session{LeaseUntil: before(5 * m), RenewedAt: before(10 * m), ObservedAt: before(6 * m), LastHandshake: before(20 * m)}, time.Hour, true, false},
		{"lease over, never a handshake", provisioner.Session{LeaseUntil: before(5 * m), RenewedAt: before(10 * m), ObservedAt: before(m)}, time.Hour, true, true},
		{"lease over, gateway cut off", provisioner.Session{LeaseUntil: before(m), RenewedAt: before(6 * m)}, time.Hour, false, true},
		{"lease over, but we were away until a minute ago", provisioner.Session{LeaseUntil: before(m), RenewedAt: before(6 * m)}, m, false, false},
		{"not renewed for eight hours, traffic or not",
			provisioner.Session{LeaseUntil: before(8 * time.Hour), RenewedAt: before(8*time.Hour + 5*m), ObservedAt: before(m), LastHandshake: before(m)}, time.Hour, true, true},
		{"not renewed for eight hours, but we were away",
			provisioner.Session{LeaseUntil: before(8 * time.Hour), RenewedAt: before(8*time.Hour + 5*m), ObservedAt: before(m), LastHandshake: before(m)}, m, true, false},
	} {
		got := c.session.Expired(provisioner.ExpiryEvidence{Now: noon, ServingSince: before(c.serving), GatewayConnected: c.connected})
		if got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
