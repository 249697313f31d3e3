//go:build linux

package crash_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"

	"github.com/heimdraht/heimdraht/internal/kerneltest"
)

// TestClockSet sets the clock under a control plane, a gateway and laptops that
// are at work: by an hour forward, by two back, and right again. It is the clock
// of a virtual machine.
func TestClockSet(t *testing.T) {
	t.Parallel()
	kerneltest.RunInMachine(t, []string{program}, kerneltest.Test{Name: "hours", Run: setByHours})
}

func setByHours(t *testing.T) {
	c := &clock{working: newWorking(t, newTrioOn(t, 1, onSQLite()))}
	c.stays(c.idle())

	c.set(time.Hour)
	c.goesOn("an hour ahead")
	future := c.newest()

	c.set(-2 * time.Hour)
	c.goesOn("an hour behind")
	// Its certificate begins when the clock was an hour ahead.
	if err := c.opens(future); !isRefused(err, provisioner.CodeCertificateNotYet) {
		t.Errorf("a certificate from the future: %v", err)
	}
	p, restarted := c.planes[0], time.Now()
	p.terminate()
	p.start()
	for _, words := range []string{"the clock is wrong", "the newest record in the database is of", "Set this machine's clock"} {
		eventually(t, "the log says: "+words, time.Minute, func() error { return c.says(words, 1) })
	}
	c.told = 0
	c.books.connected("gw1", restarted)
	c.stays(c.steady)

	c.set(time.Hour)
	c.goesOn("right again")
	must(t, "opening with a certificate that has become good", c.opens(future))
}

// clock is a working control plane whose clock is set.
type clock struct {
	*working

	told   int     // how often the log must say that the clock was set
	steady *device // a laptop that stays, and its stream
	stream attachment
}

func (c *clock) set(by time.Duration) {
	c.t.Helper()
	kerneltest.SetClock(c.t, time.Now().Add(by))
	c.told++
}

// goesOn holds that nothing ends and all works.
func (c *clock) goesOn(when string) {
	c.t.Helper()
	must(c.t, when+", reaching the intranet at once", greets(c.t.Context(), c.laptop))
	eventually(c.t, when+", the log says so", time.Minute, func() error { return c.says("this machine's clock was set", c.told) })
	c.renews(when)
	eventually(c.t, when+", enrolling", 20*time.Second, c.enrols)
	newest := c.newest()
	eventually(c.t, when+", opening", 20*time.Second, func() error { return c.opens(newest) })
	c.revokes(when, c.idle())
	// By the clock as it is now: the tunnel's last handshake counts no more.
	eventually(c.t, when+", the laptop is connected", time.Minute, func() error {
		if s := c.laptop.Status("en"); s.State != endpoint.Connected || !s.ControlPlane {
			said, err := json.Marshal(s)
			return errors.Join(fmt.Errorf("it says %s", said), err)
		}
		return nil
	})
	must(c.t, when+", reaching the intranet", greets(c.t.Context(), c.laptop))
	if n := value[int](c.t, c.books.db, `select count(*) from session where closed_why = $1`, string(provisioner.CodeSessionExpired)); n > 0 {
		c.t.Errorf("%s, %d sessions have ended for their leases", when, n)
	}
	c.check(c.books, when)
	c.gateway.exact(c.books, when)
}

// says holds that the control plane's log has the words n times.
func (c *clock) says(words string, n int) error {
	if is := strings.Count(c.planes[0].log(), words); is != n {
		return fmt.Errorf("the log says it %d times, not %d", is, n)
	}
	return nil
}

// idle is a laptop that has a good certificate and no stream.
func (c *clock) idle() (idle *device) {
	c.t.Helper()
	c.ask(func() {
		for _, d := range c.devices {
			if !d.revokeAsked && d != c.steady {
				idle = d
				return
			}
		}
	})
	if idle == nil {
		c.t.Fatal("everybody is revoked")
	}
	return idle
}

func (c *clock) newest() (newest *device) {
	c.ask(func() { newest = c.devices[len(c.devices)-1] })
	return newest
}

// stays opens a session and keeps its stream.
func (c *clock) stays(d *device) {
	c.t.Helper()
	c.steady = d
	c.stream = c.clients[0].Attach(c.t.Context(), d.Laptop)
	eventually(c.t, "opening", 20*time.Second, func() error { return c.open(c.stream, d) })
}

// opens opens a session and loses its stream.
func (c *clock) opens(d *device) error {
	own := c.clients[0].Dial(&d.Certificate)
	defer own.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(c.t.Context())
	if err != nil {
		return err
	}
	return c.open(stream, d)
}

func (c *clock) open(stream attachment, d *device) error {
	c.ask(func() {
		for _, s := range d.sessions {
			s.closeAsked = true
		}
	})
	answer, err := provisionertest.Open(stream, "")
	switch {
	case err != nil:
		return control.FromStatus(err)
	case answer.GetRefused() != nil:
		return control.FromRefusal(answer.GetRefused())
	case answer.GetOpened() == nil:
		return fmt.Errorf("told %v", answer)
	}
	c.ask(func() {
		for _, s := range d.sessions {
			s.closeAnswer = true
		}
		d.sessions = append(d.sessions, &session{id: answer.GetOpened().GetSessionId(), leaseUntil: answer.GetOpened().GetLeaseUntil().AsTime()})
	})
	return nil
}

// renews renews the lease of the laptop that stays, for as long as one lasts.
func (c *clock) renews(when string) {
	c.t.Helper()
	s := c.steady.sessions[len(c.steady.sessions)-1]
	must(c.t, when+", renewing", c.stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: s.id}}}))
	answer, err := c.stream.Recv()
	must(c.t, when+", renewing", err)
	c.ask(func() { s.leaseUntil = answer.GetRenewed().GetLeaseUntil().AsTime() })
	if left := time.Until(s.leaseUntil); answer.GetRenewed() == nil || left > provisioner.Lease || left < provisioner.Lease/2 {
		c.t.Errorf("%s, a lease lasts for %v: %v", when, left, answer)
	}
}

// revokes revokes a laptop that has a session.
func (c *clock) revokes(when string, d *device) {
	c.t.Helper()
	eventually(c.t, when+", opening", 20*time.Second, func() error { return c.opens(d) })
	c.ask(func() {
		d.revokeAsked = true
		for _, s := range d.sessions {
			s.closeAsked = true
		}
	})
	ctx, cancel := context.WithTimeout(provisionertest.As(c.t.Context(), c.loads[0].desk), time.Minute)
	defer cancel()
	answer, err := heimdrahtv1.NewHelpdeskServiceClient(c.conn).RevokeDevice(ctx, &heimdrahtv1.RevokeDeviceRequest{DeviceId: d.ID, Reason: "test", Emergency: true})
	must(c.t, when+", revoking", err)
	c.ask(func() { d.revokeAnswer = true })
	if list := answer.GetConfirmations(); len(list) == 0 || slices.ContainsFunc(list, func(v *heimdrahtv1.GatewayConfirmation) bool { return !v.GetConfirmed() }) {
		c.t.Errorf("%s, a revocation is confirmed so: %v", when, list)
	}
}

func isRefused(err error, code provisioner.Code) bool {
	p, ok := control.AsProblem(err)
	return ok && p.Code == string(code)
}
