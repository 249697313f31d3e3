package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// StaticPeer is what a static peer holds from when its file is made until it is
// revoked, also while its access rests.
type StaticPeer struct {
	Device       string
	Gateway      string
	Pool         string
	AddressIndex int64
	KeyVersion   int64           // of the session-key root, as the file has it
	GatewayKey   provisioner.Key // that stands in the file
}

const selectStatic = `select device, gateway, pool, address_index, key_version, gateway_key from static_peer `

func scanStatic(s scanner) (p StaticPeer, err error) {
	var key string
	if err := s.Scan(&p.Device, &p.Gateway, &p.Pool, &p.AddressIndex, &p.KeyVersion, &key); err != nil {
		return p, err
	}
	p.GatewayKey, err = keyFromText(key)
	return p, err
}

// StaticPeer reads what a device holds; ErrNone if it is no static peer, or has lost
// its place and needs a new file.
func (r *Reader) StaticPeer(device string) (StaticPeer, error) {
	return one(r.q, scanStatic, selectStatic+`where device = $1`, device)
}

// StaticPeers lists the devices that hold something, by id.
func (r *Reader) StaticPeers() ([]string, error) {
	return all(r.q, value[string], `select device from static_peer order by device`)
}

// StaticDevices lists static peers in scope that are not revoked, with ids above
// after, by id, at most limit.
func (r *Reader) StaticDevices(scope provisioner.Scope, after string, limit int) ([]provisioner.Device, error) {
	a := new(args)
	where := `where d.static_until > 0 and d.revoked_at = 0 and d.id > ` + a.add(after) + ` and ` + a.scope(scope, "d.tenant")
	return r.devices(selectDevice+where+` order by d.id limit `+a.add(limit), a.list...)
}

// StaticsOver lists static peers whose end has come, at most limit.
func (r *Reader) StaticsOver(now time.Time, limit int) ([]provisioner.Device, error) {
	return r.devices(selectDevice+`where d.static_until > 0 and d.static_until <= $1 and d.revoked_at = 0 order by d.static_until limit $2`, ms(now), limit)
}

// AddStatic writes what a static peer holds and opens its session. Its device must
// be there, and seat and address taken; the place on the gateway is taken here.
func (w *Writer) AddStatic(p StaticPeer) (provisioner.Session, error) {
	if err := run(w.q, `insert into static_peer (device, gateway, pool, address_index, key_version, gateway_key) values ($1, $2, $3, $4, $5, $6)`,
		p.Device, p.Gateway, p.Pool, p.AddressIndex, p.KeyVersion, p.GatewayKey.String()); err != nil {
		return provisioner.Session{}, err
	}
	if err := w.ledger().movePlace(p.Gateway, 1); err != nil {
		return provisioner.Session{}, err
	}
	return w.OpenStatic(p.Device)
}

// OpenStatic opens the session of a static peer, if it may have one and has none:
// ErrNone if nothing was opened. The file that is out goes on to fit.
func (w *Writer) OpenStatic(device string) (s provisioner.Session, err error) {
	p, err := w.StaticPeer(device)
	if err != nil {
		return s, err
	}
	d, err := w.Device(device)
	if err != nil {
		return s, fmt.Errorf("reading the device: %w", err)
	}
	if d.State() != provisioner.DeviceActive || !w.Now.Before(d.StaticUntil) {
		return s, ErrNone
	}
	if _, err := w.OpenSessionOf(device); !errors.Is(err, ErrNone) {
		if err == nil {
			err = ErrNone
		}
		return s, err
	}
	serves, err := one(w.q, value[int64], `select count(*) from gateway_tenant where gateway = $1 and tenant = $2`, p.Gateway, d.Tenant)
	if err != nil {
		return s, err
	}
	if serves == 0 {
		if err := w.EndStatic(d); err != nil {
			return s, err
		}
		return s, ErrNone
	}
	s = provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: p.Gateway, Pool: p.Pool,
		AddressIndex: p.AddressIndex, KeyVersion: p.KeyVersion, PublicKey: d.PublicKey,
		KeyOf: fmt.Sprintf("static %s %d", d.ID, d.Generation), EndsAt: d.StaticUntil,
		OpenedAt: w.Now, RenewedAt: w.Now, LeaseUntil: d.StaticUntil,
	}
	return s, w.OpenSession(&s)
}

// EndStatic gives back what a static peer holds, if it does. Its session must be
// closed in the same transaction.
func (w *Writer) EndStatic(d provisioner.Device) error {
	p, err := w.StaticPeer(d.ID)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := run(w.q, `delete from static_peer where device = $1`, d.ID); err != nil {
		return err
	}
	return w.free(provisioner.Session{Gateway: p.Gateway, Pool: p.Pool, Tenant: d.Tenant, Device: d.ID, AddressIndex: p.AddressIndex})
}
