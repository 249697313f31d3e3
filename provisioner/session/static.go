package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// A static peer is a device without an agent: a phone, or a branch router. Its file
// is made once, on the machine of whoever asks, where its key is made too. So nobody
// opens or renews its session: it is open from the making to the end, but for the
// times in which access rests, and holds its seat, place and address throughout.

// StaticRequest asks for a static peer, or for another file of one that is there.
type StaticRequest struct {
	// Person is the id of whose device it is; of a branch router she who is
	// responsible for it. Tenant may be empty where only one is possible.
	Person, Tenant string
	// Device is the static peer whose keys are replaced, by its id or a beginning
	// of it; Person and Tenant are empty then.
	Device    string
	Name      string // empty: "phone", or the name that it has
	PublicKey []byte // WireGuard's, 32 bytes
	// Until is when it ends by itself, at most provisioner.StaticLongest from now.
	// Zero, for one that is there: as before.
	Until   time.Time
	Gateway string // empty: where there is most room, or where it was
	Reason  string // recorded
}

// StaticMade is a static peer with what stands in its file beside the private key.
type StaticMade struct {
	Device        provisioner.Device
	PersonName    string
	Tunnel        Tunnel
	Confirmations []provisioner.Confirmation // one that has not confirmed will, when it is heard
}

// MakeStatic makes a static peer for somebody who has the right by the directory's
// word, or replaces the keys of one. Refusals: reason-missing, invalid,
// wireguard-key-invalid, wireguard-key-in-use, not-found, what the directory says of
// the person, device-suspended, and those of opening a session.
func (s *Service) MakeStatic(ctx context.Context, actor provisioner.Actor, r StaticRequest) (made StaticMade, err error) {
	const action = provisioner.ActionMakeStatic
	key, err := r.check(actor)
	if err != nil {
		return made, err
	}
	owner, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.FoundPerson, error) { return r.owner(tx, actor) })
	if err != nil {
		return made, fmt.Errorf("%s: %w", action, err)
	}
	tenant, standing, err := s.ownerStands(ctx, owner)
	if err != nil {
		return made, fmt.Errorf("%s: %w", action, err)
	}
	var debt store.Debt
	var epoch string
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		made = StaticMade{PersonName: owner.Person.DisplayName}
		session, gateway, err := s.writeStatic(tx, actor, r, key, owner, &made.Device)
		if err != nil {
			return err
		}
		epoch, debt = tx.Epoch(), store.Debt{Gateway: session.Gateway, Revision: tx.Revision()}
		made.Tunnel, err = s.tunnel(session, gateway, tenant, standing)
		return err
	})
	if err != nil {
		return StaticMade{}, fmt.Errorf("%s: %w", action, err)
	}
	if r.Device != "" && s.Journal != nil {
		s.Journal.Await(context.WithoutCancel(ctx), debt.Revision) // the former keys are dead
	}
	ctx, cancel := context.WithTimeout(ctx, provisioner.OpeningWait)
	defer cancel()
	made.Confirmations = s.Confirmations.Wait(ctx, epoch, []store.Debt{debt})
	return made, nil
}

// check judges a request by itself.
func (r *StaticRequest) check(actor provisioner.Actor) (key provisioner.Key, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionMakeStatic, provisioner.Object{}); refusal != nil {
		return key, refusal
	}
	if r.Reason = audit.CleanReason(r.Reason); r.Reason == "" {
		return key, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	if key, err = provisioner.AcceptKey(r.PublicKey); err != nil {
		return key, provisioner.Refuse(provisioner.CodeKeyInvalid).Because(err)
	}
	r.Name = audit.CleanText(r.Name, enrolment.NameLimit)
	now := time.Now()
	switch {
	case r.Until.IsZero() && r.Device != "":
		return key, nil
	case !r.Until.After(now):
		return key, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Ende", "until").With("why", "es fehlt oder ist vorbei", "it is missing or over")
	case r.Until.After(now.Add(provisioner.StaticLongest)):
		return key, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Ende", "until").With("why", "es liegt mehr als ein Jahr voraus", "it is more than a year away")
	}
	return key, nil
}

// owner finds whose device it is, or is to be.
func (r *StaticRequest) owner(tx *store.Reader, actor provisioner.Actor) (store.FoundPerson, error) {
	if r.Device == "" {
		return enrolment.FindPerson(tx, actor, provisioner.ActionMakeStatic, r.Person, r.Tenant)
	}
	d, err := r.former(tx, actor)
	if err != nil {
		return store.FoundPerson{}, err
	}
	return enrolment.FindPerson(tx, actor, provisioner.ActionMakeStatic, d.Person, d.Tenant)
}

// former finds the static peer whose keys are replaced.
func (r *StaticRequest) former(tx *store.Reader, actor provisioner.Actor) (provisioner.Device, error) {
	d, err := enrolment.FindDevice(tx, actor, provisioner.ActionMakeStatic, r.Device)
	switch {
	case err != nil:
		return d, err
	case !d.Static():
		return d, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Gerät", "device_id").
			With("why", "es ist ein Laptop, der sich selbst anmeldet", "it is a laptop, which enrols by itself")
	case d.State() == provisioner.DeviceRevoked:
		return d, provisioner.Refuse(provisioner.CodeDeviceRevoked)
	case d.State() == provisioner.DeviceSuspended:
		return d, provisioner.Refuse(provisioner.CodeDeviceSuspended)
	}
	return d, nil
}

// ownerStands asks the directory, outside of any transaction.
func (s *Service) ownerStands(ctx context.Context, owner store.FoundPerson) (tenant provisioner.Tenant, standing provisioner.Standing, err error) {
	if tenant, err = store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant(owner.Tenant) }); err != nil {
		return tenant, standing, fmt.Errorf("reading the tenant: %w", err)
	}
	if standing, err = s.Standings.Lookup(ctx, tenant, owner.Person); err != nil {
		return tenant, standing, err
	}
	return tenant, standing, mayHaveStatic(tenant, standing, time.Now())
}

func mayHaveStatic(tenant provisioner.Tenant, standing provisioner.Standing, now time.Time) error {
	if refusal := tenant.Admits(standing, now); refusal != nil {
		return refusal
	}
	if refusal := tenant.NeedsSponsor(standing); refusal != nil {
		return refusal
	}
	return nil
}

// stillStands looks once more, within the transaction: what took the access of her other
// devices since the directory was asked does not come back for this one, and nobody opens
// a session for it, at which it would be found out.
func stillStands(tx *store.Writer, owner store.FoundPerson) error {
	tenant, err := tx.Tenant(owner.Tenant)
	if err != nil {
		return fmt.Errorf("reading the tenant: %w", err)
	}
	standing, err := tx.Standing(owner.Person.ID, owner.Tenant)
	if err != nil {
		return fmt.Errorf("reading how the person stands: %w", err)
	}
	return mayHaveStatic(tenant, standing, tx.Now)
}

// writeStatic decides and writes in one transaction.
func (s *Service) writeStatic(tx *store.Writer, actor provisioner.Actor, r StaticRequest, key provisioner.Key,
	owner store.FoundPerson, d *provisioner.Device,
) (session provisioner.Session, gateway provisioner.Gateway, err error) {
	if *d, err = r.deviceOf(tx, actor, owner); err != nil {
		return session, gateway, err
	}
	d.PublicKey, d.EnrolledAt = key, tx.Now
	d.Name = cmp.Or(r.Name, d.Name, "phone")
	if !r.Until.IsZero() {
		d.StaticUntil = r.Until
	}
	if err := stillStands(tx, owner); err != nil {
		return session, gateway, err
	}
	if err := enrolment.MayAdd(tx, *d); err != nil {
		return session, gateway, err
	}
	var own string // the pool of which the former file has a seat
	if r.Device == "" {
		err = tx.AddDevice(*d)
	} else {
		switch former, err := tx.StaticPeer(d.ID); {
		case err == nil:
			own = former.Pool
		case !errors.Is(err, store.ErrNone):
			return session, gateway, fmt.Errorf("reading what the former file holds: %w", err)
		}
		err = replaceStatic(tx, *d)
	}
	if err != nil {
		return session, gateway, err
	}
	claim := seat.Claim{Tenant: d.Tenant, Person: d.Person, Class: provisioner.PriorityOrdinary}
	pool, _, err := takeTurn(tx, claim, d.ID, own)
	if err != nil {
		return session, gateway, err
	}
	g, index, err := place(tx, *d, wanted{only: r.Gateway})
	if err != nil {
		return session, gateway, err
	}
	if _, err := tx.HoldSeat(pool, claim); err != nil {
		return session, gateway, fmt.Errorf("taking a seat of %s: %w", pool, err)
	}
	session, err = tx.AddStatic(store.StaticPeer{
		Device: d.ID, Gateway: g.Name, Pool: pool, AddressIndex: index, KeyVersion: s.Keys.Current(), GatewayKey: g.PublicKey,
	})
	if err != nil {
		return session, gateway, fmt.Errorf("writing the static peer: %w", err)
	}
	return session, g.Gateway, tx.Audit(store.Event{
		Actor: actor, Tenant: d.Tenant, Action: string(provisioner.ActionMakeStatic), Object: access.Object(*d), Reason: r.Reason,
		Details: map[string]string{
			"person": d.Person, "until": d.StaticUntil.UTC().Format(time.RFC3339), "gateway": g.Name, "generation": fmt.Sprint(d.Generation),
		},
	})
}

// deviceOf is the device that is made, or the next generation of one.
func (r *StaticRequest) deviceOf(tx *store.Writer, actor provisioner.Actor, owner store.FoundPerson) (d provisioner.Device, err error) {
	if r.Device == "" {
		return provisioner.Device{
			ID: provisioner.NewID(), Tenant: owner.Tenant, Person: owner.Person.ID, Generation: 1, Platform: "wireguard",
		}, nil
	}
	d, err = r.former(&tx.Reader, actor)
	d.Generation++
	return d, err
}

// replaceStatic ends what a static peer had: its former file leads nowhere.
func replaceStatic(tx *store.Writer, d provisioner.Device) error {
	if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeDeviceReplaced); err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("closing the session of the former keys: %w", err)
	}
	if err := tx.EndStatic(d); err != nil {
		return fmt.Errorf("giving back what the former keys held: %w", err)
	}
	if err := tx.ReplaceDevice(d); err != nil {
		return err
	}
	return tx.DeviceReplaced(d)
}

// Static is a static peer as it stands.
type Static struct {
	Device     provisioner.Device
	PersonName string
	Gateway    string    // empty: it has lost its place
	Handshake  time.Time // the last one seen on its present session; zero: none
	// NeedsFile says that the file that is out leads nowhere any more: the gateway
	// has another key, or serves the tenant no longer.
	NeedsFile bool
}

// StaticsRequest asks for static peers.
type StaticsRequest struct {
	Tenant string // empty: every tenant in scope
	Limit  int    // 0: 100, at most 1,000
	After  string // the id that the former answer ended with
}

// Statics lists static peers that are not revoked, by id; next is what to ask After
// for more, empty at the end.
func (s *Service) Statics(ctx context.Context, actor provisioner.Actor, r StaticsRequest) (list []Static, next string, err error) {
	const standard, most = 100, 1000
	if refusal := provisioner.Allow(actor, provisioner.ActionListStatics, provisioner.Object{Tenant: r.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	limit := standard
	if r.Limit > 0 {
		limit = min(r.Limit, most)
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionListStatics).Narrow(r.Tenant)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		devices, err := tx.StaticDevices(scope, r.After, limit+1)
		if err != nil {
			return fmt.Errorf("reading static peers: %w", err)
		}
		if len(devices) > limit {
			devices = devices[:limit]
			next = devices[limit-1].ID
		}
		for _, d := range devices {
			shown, err := showStatic(tx, d)
			if err != nil {
				return err
			}
			list = append(list, shown)
		}
		return nil
	})
	return list, next, err
}

func showStatic(tx *store.Reader, d provisioner.Device) (Static, error) {
	shown := Static{Device: d, NeedsFile: true}
	person, err := tx.Person(d.Person)
	if err != nil {
		return shown, fmt.Errorf("reading whose device it is: %w", err)
	}
	shown.PersonName = person.DisplayName
	peer, err := tx.StaticPeer(d.ID)
	if errors.Is(err, store.ErrNone) {
		return shown, nil
	}
	if err != nil {
		return shown, fmt.Errorf("reading what a static peer holds: %w", err)
	}
	gateway, err := tx.Gateway(peer.Gateway)
	if err != nil {
		return shown, fmt.Errorf("reading the gateway: %w", err)
	}
	shown.Gateway, shown.NeedsFile = peer.Gateway, gateway.PublicKey != peer.GatewayKey
	open, err := tx.OpenSessionOf(d.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return shown, fmt.Errorf("reading a device's session: %w", err)
	}
	shown.Handshake = open.LastHandshake
	return shown, nil
}

// endStatics revokes static peers whose end has come. Not right after an
// interruption: a clock that was set wrong must not end for good what a year was
// given to. The gateways drop the peers on time by themselves.
func (s *Service) endStatics(ctx context.Context, duty *store.Duty, now time.Time) error {
	if now.Sub(s.servingSince) < provisioner.Lease {
		return nil
	}
	for {
		over, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.StaticsOver(now, endedAtOnce) })
		if err != nil || len(over) == 0 {
			return err
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error {
			for _, old := range over {
				d, err := tx.Device(old.ID)
				if err != nil {
					return err
				}
				if d.StaticUntil.After(tx.Now) {
					continue // renewed meanwhile
				}
				if _, err := access.Revoke(tx, provisioner.System("heimdrahtd"), d, "its end date has come"); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if len(over) < endedAtOnce {
			return nil
		}
	}
}

// endedAtOnce is how many static peers a transaction ends.
const endedAtOnce = 64
