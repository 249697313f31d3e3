package session_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const day = 24 * time.Hour

func helpdeskOf(tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "hilde", Name: "Hilde", Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: tenant}}}
}

func newKey(t testing.TB) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicKey().Bytes()
}

// phoneFor is a request for a static peer of somebody who has a laptop.
func (w *world) phoneFor(laptop provisioner.Actor, until time.Duration) session.StaticRequest {
	w.t.Helper()
	return session.StaticRequest{
		Person: w.device(laptop.ID).Person, PublicKey: newKey(w.t), Until: time.Now().Add(until), Reason: "telephone", Name: "phone of hers",
	}
}

func (w *world) device(id string) provisioner.Device {
	w.t.Helper()
	d, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(id) })
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) makeStatic(r session.StaticRequest) session.StaticMade {
	w.t.Helper()
	made, err := w.MakeStatic(context.Background(), helpdeskOf("stadt"), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// take does something with a device in a transaction of its own.
func (w *world) take(id string, how func(*store.Writer, provisioner.Actor, provisioner.Device, string) (bool, error), actor provisioner.Actor) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		d, err := tx.Device(id)
		if err != nil {
			return err
		}
		_, err = how(tx, actor, d, "test")
		return err
	})
}

// peers is what gateways hold by our word, in words: of each its key, address and
// preshared key.
func (w *world) peers() (list []string) {
	w.t.Helper()
	for _, gateway := range []string{"gw1", "gw2"} {
		snap, err := w.Snapshot(context.Background(), gateway)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, p := range snap.Peers {
			list = append(list, fmt.Sprintf("%s %v %v %x until %v", gateway, p.PublicKey, p.AllowedIPs, p.PresharedKey[:4], p.NotAfter.UTC()))
		}
	}
	return list
}

// counted is what is taken: seats held, places on gateways, addresses.
func (w *world) counted() (seats, places, addresses int64) {
	w.t.Helper()
	if err := w.store.View(context.Background(), func(tx *store.Reader) error {
		pools, err := tx.Pools()
		if err != nil {
			return err
		}
		seats = pools[0].Held
		for _, name := range []string{"gw1", "gw2"} {
			g, err := tx.Gateway(name)
			if err != nil {
				return err
			}
			taken, err := tx.AddressesTaken(name)
			if err != nil {
				return err
			}
			places, addresses = places+g.Open, addresses+taken
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return seats, places, addresses
}

func (w *world) expectCounted(what string, seats, places int64) {
	w.t.Helper()
	if s, p, _ := w.counted(); s != seats || p != places {
		w.t.Errorf("%s: %d seats and %d places are held, want %d and %d", what, s, p, seats, places)
	}
}

// What is in a file cannot be changed any more: whatever is taken and given back,
// the same peer is back, and keeps its seat, place and address meanwhile.
func TestAStaticPeerIsTheSameWhenItComesBack(t *testing.T) {
	w := newWorld(t, 2)
	w.serve("gw2")
	made := w.makeStatic(w.phoneFor(w.laptop(1), 30*day))
	if made.Tunnel.Gateway != "gw2" || len(made.Confirmations) != 1 || !made.Confirmations[0].Confirmed || made.PersonName != "Person 1" {
		t.Errorf("%+v", made)
	}
	before := w.peers()
	if len(before) != 1 {
		t.Fatal(before)
	}
	_, _, addresses := w.counted()
	directory, another := provisioner.System("directory"), w.laptop(2)
	for _, c := range []struct {
		name string
		by   []provisioner.Actor // who takes, and then gives back
	}{
		{"the helpdesk", []provisioner.Actor{helpdeskOf("stadt")}},
		{"the directory", []provisioner.Actor{directory}},
		{"both", []provisioner.Actor{helpdeskOf("stadt"), directory}},
	} {
		for _, actor := range c.by {
			w.take(made.Device.ID, access.Suspend, actor)
		}
		for _, actor := range c.by {
			if list := w.peers(); len(list) != 0 {
				t.Errorf("%s: while it rests, gateways hold %v", c.name, list)
			}
			w.expectCounted(c.name, 1, 1)
			if got := w.open(another, session.OpenRequest{}).Tunnel.Addresses; got[0] == made.Tunnel.Addresses[0] {
				t.Errorf("%s: a laptop got its address", c.name)
			}
			w.closeLaptops()
			w.take(made.Device.ID, access.Restore, actor)
		}
		if after := w.peers(); len(after) != 1 || after[0] != before[0] {
			t.Errorf("%s: before %v, after %v", c.name, before, after)
		}
	}
	w.take(made.Device.ID, access.Revoke, helpdeskOf("stadt"))
	w.expectCounted("revoked", 0, 0)
	if list := w.peers(); len(list) != 0 {
		t.Errorf("revoked, gateways hold %v", list)
	}
	if _, _, now := w.counted(); now >= addresses {
		t.Errorf("%d addresses are taken, %d while it was there", now, addresses)
	}
	w.take(made.Device.ID, access.Revoke, helpdeskOf("stadt")) // again
	w.expectCounted("revoked again", 0, 0)
}

// closeLaptops ends every session that is not a static peer's.
func (w *world) closeLaptops() {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		list, err := tx.SessionsIn(provisioner.Everywhere(), "", "", 100)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.Static() {
				continue
			}
			if _, err := tx.CloseSession(s, provisioner.CodeSessionClosed); err != nil {
				return err
			}
		}
		return nil
	})
}

// Nobody is heard on it and nothing is seen of it: it stays all the same, until its
// end date, and then goes for good.
func TestAStaticPeerLivesUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		gateway := w.serve("gw1")
		const life = provisioner.UnrenewedLimit + 15*time.Minute
		begun := time.Now()
		made := w.makeStatic(w.phoneFor(w.laptop(1), life))
		time.Sleep(provisioner.UnrenewedLimit) // the duty costs much for each second
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.RunExpiry(ctx) }()
		for time.Since(begun) < life {
			if w.device(made.Device.ID).State() != provisioner.DeviceActive || len(w.peers()) != 1 {
				t.Fatalf("gone after %v", time.Since(begun))
			}
			gateway.Observed(time.Now())
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		if d := w.device(made.Device.ID); d.State() != provisioner.DeviceRevoked || d.RevokedWhy != "its end date has come" || len(w.peers()) != 0 {
			t.Errorf("a minute after its end it is %s (%s), and gateways hold %v", d.State(), d.RevokedWhy, w.peers())
		}
		w.expectCounted("over", 0, 0)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A control plane that has just started may have a clock that is wrong by years: it
// ends nothing for good before it has served for a while.
func TestAStaticPeerIsNotEndedByAClockAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.serve("gw1")
		made := w.makeStatic(w.phoneFor(w.laptop(1), time.Hour))
		time.Sleep(2 * time.Hour) // nobody ran the duty
		ctx, stop := context.WithCancel(context.Background())
		w.Service = session.New(session.Options{Store: w.store, Standings: standings{w}, Confirmations: w.contacts, Keys: keys{}, Logger: slog.New(slog.DiscardHandler)})
		ended := make(chan error, 1)
		go func() { ended <- w.RunExpiry(ctx) }()
		time.Sleep(provisioner.Lease - 10*time.Second)
		if w.device(made.Device.ID).State() != provisioner.DeviceActive {
			t.Error("revoked by a control plane that has just started")
		}
		time.Sleep(time.Minute)
		if w.device(made.Device.ID).State() != provisioner.DeviceRevoked {
			t.Error("not revoked")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// New keys keep the address, and the former file leads nowhere.
func TestReplacingTheFileOfAStaticPeer(t *testing.T) {
	w := newWorld(t, 2)
	w.serve("gw1")
	w.serve("gw2")
	made := w.makeStatic(w.phoneFor(w.laptop(1), day))
	before := w.peers()
	replaced := w.makeStatic(session.StaticRequest{Device: made.Device.ID[:8], PublicKey: newKey(t), Reason: "new telephone"})
	after := w.peers()
	if replaced.Device.ID != made.Device.ID || replaced.Device.Generation != 2 || replaced.Device.Name != "phone of hers" ||
		!replaced.Device.StaticUntil.Equal(made.Device.StaticUntil.Truncate(time.Millisecond)) {
		t.Errorf("%+v", replaced.Device)
	}
	if replaced.Tunnel.Addresses[0] != made.Tunnel.Addresses[0] || replaced.Tunnel.PresharedKey == made.Tunnel.PresharedKey {
		t.Errorf("before %v, after %v", made.Tunnel, replaced.Tunnel)
	}
	if len(after) != 1 || after[0] == before[0] {
		t.Errorf("before %v, after %v", before, after)
	}
	w.expectCounted("replaced", 1, 1)
	moved := w.makeStatic(session.StaticRequest{Device: made.Device.ID, PublicKey: newKey(t), Reason: "nearer", Gateway: "gw2", Until: time.Now().Add(2 * day)})
	if moved.Tunnel.Gateway != "gw2" || len(w.peers()) != 1 {
		t.Errorf("%v, %v", moved.Tunnel, w.peers())
	}
	w.expectCounted("moved", 1, 1)
}

// afterTheDirectory has something happen right after the directory has said how somebody
// stands.
func (w *world) afterTheDirectory(do func(*store.Writer) error) {
	asked := w.standing
	w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		s, err := asked(p)
		w.update(do)
		return s, err
	}
}

func TestMakingAStaticPeerRefuses(t *testing.T) {
	used := newKey(t)
	for _, c := range []struct {
		name string
		code provisioner.Code
		do   func(*world, *provisioner.Actor, *session.StaticRequest)
	}{
		{"no reason", provisioner.CodeReasonMissing, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Reason = " \x00 " }},
		{"no end", provisioner.CodeInvalid, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Until = time.Time{} }},
		{"an end that is over", provisioner.CodeInvalid, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Until = time.Now() }},
		{"more than a year", provisioner.CodeInvalid, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) {
			r.Until = time.Now().Add(provisioner.StaticLongest + time.Hour)
		}},
		{"her access rests", provisioner.CodePersonSuspended, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			w.update(func(tx *store.Writer) error {
				_, err := tx.SuspendPerson(r.Person, "stadt", "leave", time.Time{})
				return err
			})
		}},
		{"no key", provisioner.CodeKeyInvalid, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.PublicKey = nil }},
		{"half a key", provisioner.CodeKeyInvalid, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.PublicKey = used[:16] }},
		{"a used key", provisioner.CodeKeyInUse, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			q := *r
			q.PublicKey = used
			w.makeStatic(q)
			r.PublicKey = used
		}},
		{"nobody", provisioner.CodeNotFound, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Person = "nobody" }},
		{"another tenant's helpdesk", provisioner.CodeNotFound, func(_ *world, a *provisioner.Actor, _ *session.StaticRequest) { *a = helpdeskOf("land") }},
		{"a planner", provisioner.CodeNotAllowed, func(_ *world, a *provisioner.Actor, _ *session.StaticRequest) {
			a.Grants = []provisioner.Grant{{Role: provisioner.RolePlanner, Tenant: "stadt"}}
		}},
		{"outside the group", provisioner.CodeNotInGroup, func(w *world, _ *provisioner.Actor, _ *session.StaticRequest) {
			w.standing = func(provisioner.Person) (provisioner.Standing, error) { return provisioner.Standing{}, nil }
		}},
		{"her day ends in that moment", provisioner.CodeExternalEnded, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			w.afterTheDirectory(func(tx *store.Writer) error {
				return tx.PutExternal(provisioner.External{Person: r.Person, Tenant: "stadt", Until: tx.Now, EndedAt: tx.Now})
			})
		}},
		{"she is disabled in that moment", provisioner.CodeAccessEnded, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			w.afterTheDirectory(func(tx *store.Writer) error {
				return tx.PutStanding(provisioner.Standing{Person: r.Person, Tenant: "stadt", Groups: []string{"CN=Homeoffice,DC=stadt"}, Ended: provisioner.WhyDisabled, ReadAt: tx.Now})
			})
		}},
		{"no such gateway", provisioner.CodeNotFound, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Gateway = "gw9" }},
		{"a gateway that is away", provisioner.CodeNoGateway, func(_ *world, _ *provisioner.Actor, r *session.StaticRequest) { r.Gateway = "gw2" }},
		{"no seat", provisioner.CodeNoSeat, func(w *world, _ *provisioner.Actor, _ *session.StaticRequest) {
			w.open(w.laptop(2), session.OpenRequest{})
			w.open(w.laptop(3), session.OpenRequest{})
		}},
		{"new keys of a laptop", provisioner.CodeInvalid, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			*r = session.StaticRequest{Device: w.laptop(2).ID, PublicKey: newKey(w.t), Reason: "x"}
		}},
		{"new keys of a device of another tenant", provisioner.CodeNotFound, func(w *world, a *provisioner.Actor, r *session.StaticRequest) {
			*r = session.StaticRequest{Device: w.makeStatic(*r).Device.ID, PublicKey: newKey(w.t), Reason: "x"}
			*a = helpdeskOf("land")
		}},
		{"new keys of one that rests", provisioner.CodeDeviceSuspended, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			*r = session.StaticRequest{Device: w.makeStatic(*r).Device.ID, PublicKey: newKey(w.t), Reason: "x"}
			w.take(r.Device, access.Suspend, helpdeskOf("stadt"))
		}},
		{"new keys of one that is revoked", provisioner.CodeDeviceRevoked, func(w *world, _ *provisioner.Actor, r *session.StaticRequest) {
			*r = session.StaticRequest{Device: w.makeStatic(*r).Device.ID, PublicKey: newKey(w.t), Reason: "x"}
			w.take(r.Device, access.Revoke, helpdeskOf("stadt"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.serve("gw1")
			actor, r := helpdeskOf("stadt"), w.phoneFor(w.laptop(1), day)
			c.do(w, &actor, &r)
			before := w.peers()
			seats, places, _ := w.counted()
			_, err := w.MakeStatic(context.Background(), actor, r)
			expect(t, err, c.code)
			if after := w.peers(); len(after) != len(before) {
				t.Errorf("before %v, after %v", before, after)
			}
			w.expectCounted("refused", seats, places)
		})
	}
}

// What a static peer has in its file survives a change of gateways only by a new one,
// and the list says so.
func TestTheListSaysWhoNeedsANewFile(t *testing.T) {
	w := newWorld(t, 2)
	w.serve("gw1")
	made := w.makeStatic(w.phoneFor(w.laptop(1), day))
	needs := func() bool {
		t.Helper()
		list, next, err := w.Statics(context.Background(), helpdeskOf("stadt"), session.StaticsRequest{})
		if err != nil || next != "" || len(list) != 1 || list[0].Device.ID != made.Device.ID || list[0].PersonName != "Person 1" {
			t.Fatal(list, next, err)
		}
		return list[0].NeedsFile
	}
	if needs() {
		t.Error("a new one needs a new file")
	}
	w.update(func(tx *store.Writer) error {
		return tx.JoinGateway("gw1", provisioner.Key{7}, time.Now().Add(time.Hour), "test")
	})
	if !needs() {
		t.Error("the gateway has another key")
	}
	if list, _, err := w.Statics(context.Background(), helpdeskOf("land"), session.StaticsRequest{}); err != nil || len(list) != 0 {
		t.Error("another tenant's helpdesk sees ", list, err)
	}
}
