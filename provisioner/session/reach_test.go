package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What a gateway is told of a session says what its person may reach, by how she
// stands now; and of all of a tenant's sessions anew when the tenant's networks change.
func TestGatewaysAreToldWhatSessionsReach(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	anna, bert := w.laptop(1), w.laptop(2)
	first, second := w.open(anna, session.OpenRequest{Stream: "a"}).Session, w.open(bert, session.OpenRequest{Stream: "b"}).Session
	gateway := first.Gateway
	if second.Gateway != gateway {
		t.Fatalf("on two gateways: %s, %s", gateway, second.Gateway)
	}
	lists := func(peers []session.Peer) map[string]string {
		out := make(map[string]string)
		for _, p := range peers {
			out[p.Session] = fmt.Sprint(p.Access.Grants)
		}
		return out
	}
	snap, err := w.Snapshot(context.Background(), gateway)
	if err != nil {
		t.Fatal(err)
	}
	const ordinary = "[{10.1.0.0/16 0}]"
	if got := lists(snap.Peers); len(got) != 2 || got[first.ID] != ordinary || snap.Peers[0].Access != snap.Peers[1].Access {
		t.Errorf("a snapshot says %v", got)
	}

	w.update(func(tx *store.Writer) error {
		return errors.Join(tx.PutStanding(provisioner.Standing{Person: first.Person, Tenant: "stadt", Groups: []string{staff, "CN=Bauamt,DC=stadt"}, ReadAt: tx.Now}),
			tx.RetellSession(first))
	})
	d, err := w.Delta(context.Background(), gateway, snap.Epoch, snap.Revision)
	if err != nil {
		t.Fatal(err)
	}
	const more = "[{10.1.0.0/16 0} {10.2.0.10/32 443}]"
	if got := lists(d.Peers); len(got) != 1 || got[first.ID] != more || len(d.Removed) != 0 {
		t.Errorf("after another group: %v, removed %v", got, d.Removed)
	}

	w.update(func(tx *store.Writer) error {
		stadt, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		stadt.Networks[0].Allow[0].Prefix = netip.MustParsePrefix("10.7.0.0/16")
		return errors.Join(tx.PutTenant(stadt), tx.RetellTenant("stadt"))
	})
	d, err = w.Delta(context.Background(), gateway, d.Epoch, d.Upto)
	if err != nil {
		t.Fatal(err)
	}
	if got := lists(d.Peers); len(got) != 2 || !d.Declaration || got[first.ID] != "[{10.2.0.10/32 443} {10.7.0.0/16 0} {10.1.0.53/32 53}]" ||
		got[second.ID] != "[{10.7.0.0/16 0} {10.1.0.53/32 53}]" {
		t.Errorf("after other networks: %v, declaration %v", got, d.Declaration)
	}
}

// With a full tunnel, a gateway keeps what is inside apart from the world.
func TestInside(t *testing.T) {
	w := newWorld(t, 10)
	inside := func() string {
		list, err := w.Inside(context.Background(), "gw1")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	if got := inside(); got != "[]" {
		t.Errorf("without a full tunnel: %s", got)
	}
	w.update(func(tx *store.Writer) error {
		stadt, err := tx.Tenant("stadt")
		stadt.Policy.Tunnel = provisioner.TunnelFull
		return errors.Join(err, tx.PutTenant(stadt))
	})
	if got, want := inside(), "[10.1.0.0/16 10.2.0.10/32 10.80.0.0/16 10.81.0.0/16]"; got != want {
		t.Errorf("with one: %s, want %s", got, want)
	}
}
