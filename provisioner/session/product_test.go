package session_test

import (
	"errors"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Seats bought for a product are none for sessions, however many there are.
func TestSeatsOfProductsAreNoneForSessions(t *testing.T) {
	w := newWorld(t, 1)
	w.serve("gw1")
	w.update(func(tx *store.Writer) error {
		stadt, err := tx.Tenant("stadt")
		stadt.Products = []provisioner.Product{{Name: "citrix", Processes: []string{"wfica"}, LicencePool: "citrix"}}
		return errors.Join(err, tx.PutTenant(stadt),
			tx.PutPool(provisioner.LicencePool{Name: "citrix", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100}}, Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 100}}}))
	})
	if opened := w.open(w.laptop(1), session.OpenRequest{Stream: "a"}); opened.Session.Pool != "vpn" {
		t.Errorf("the seat is of %s", opened.Session.Pool)
	}
	_, err := w.Open(t.Context(), w.laptop(2), session.OpenRequest{Stream: "b"})
	if refusal, _ := provisioner.AsRefusal(err); refusal == nil || refusal.Code != provisioner.CodeNoSeat {
		t.Errorf("with no seat left: %v", err)
	}
}
