package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/journal"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Replay is what was taken again in a restored database.
type Replay struct {
	Sessions  int // closed
	Revoked   int // devices
	Suspended int // devices
	Replaced  int // devices whose former keys are dead
	Gateways  int // that joined anew
	Keys      int // of the control plane, made or retired since
	Forgotten int // people who are forgotten again
	// Unknown are devices of people whom the backup does not know: what was
	// taken from them cannot be noted, and they may enrol anew.
	Unknown []string
}

// replaying is one replay, in the one transaction of a restore: nobody else
// uses the database yet.
type replaying struct {
	tx     *store.Writer
	master *keyring.MasterKey
	actor  provisioner.Actor
	done   Replay
}

// reason stands in the audit log of the new database.
const replayReason = "taken after the backup; replayed from the revocation journal"

// replay draws a new epoch, ends everything that the backup could bring back to
// life, and takes again what the journals say was taken.
func replay(ctx context.Context, s *store.Store, master *keyring.MasterKey, taken journal.Taken, backup store.Content) (Replay, error) {
	var done Replay
	err := s.Update(ctx, func(tx *store.Writer) error {
		r := replaying{
			tx: tx, master: master,
			actor: provisioner.System("heimdrahtd restore"),
		}
		err := r.run(taken, backup)
		done = r.done
		return err
	})
	if err != nil {
		return done, fmt.Errorf("preparing the restored database: %w", err)
	}
	return done, nil
}

func (r *replaying) run(taken journal.Taken, backup store.Content) (err error) {
	if err := r.tx.DrawEpoch(); err != nil {
		return err
	}
	for epoch, revision := range taken.Upto {
		if err := r.tx.KnowEpoch(epoch, revision); err != nil {
			return err
		}
	}
	// Which of them have ended since, nobody knows; those who are there open new
	// ones, within seconds.
	if r.done.Sessions, err = r.tx.CloseEverySession(provisioner.CodeSessionExpired); err != nil {
		return err
	}
	if err := errors.Join(r.tx.ForgetSignIns(), r.tx.ContactsUnknown()); err != nil {
		return err
	}
	if err := r.keys(taken.Keys); err != nil {
		return err
	}
	for _, g := range taken.Gateways {
		if err := r.gateway(g); err != nil {
			return fmt.Errorf("gateway %s: %w", g.Name, err)
		}
	}
	if err := r.devices(taken.Devices); err != nil {
		return err
	}
	if err := r.statics(); err != nil {
		return err
	}
	for _, p := range taken.Forgotten {
		if err := r.forget(p); err != nil {
			return fmt.Errorf("forgetting person %s again: %w", p.Person, err)
		}
	}
	return r.tx.Audit(store.Event{
		Actor: r.actor, Action: "restore backup", Object: audit.Object{Kind: "database", ID: backup.Epoch},
		Details: map[string]string{
			"revision": strconv.FormatInt(backup.Revision, 10), "sha256": backup.SHA256,
			"sessions closed": strconv.Itoa(r.done.Sessions), "devices revoked again": strconv.Itoa(r.done.Revoked),
			"devices suspended again": strconv.Itoa(r.done.Suspended), "devices replaced again": strconv.Itoa(r.done.Replaced),
			"people forgotten again": strconv.Itoa(r.done.Forgotten),
		},
	})
}

// keys brings the control plane's keys to where they were: what was made since
// is used by certificates that are out, what was retired must not come back.
func (r *replaying) keys(list []journal.Key) error {
	had, err := r.tx.AllKeys()
	if err != nil {
		return err
	}
	newest := make(map[string]int64)
	stage := make(map[string]store.KeyStage)
	name := func(purpose string, version int64) string { return fmt.Sprint(purpose, " ", version) }
	for _, k := range had {
		newest[k.Purpose] = max(newest[k.Purpose], k.Version)
		stage[name(k.Purpose, k.Version)] = k.Stage
	}
	for _, k := range list {
		was, known := stage[name(k.Purpose, k.Version)]
		switch {
		case known && journal.Rank(k.Stage) > journal.Rank(was):
			err = r.tx.StageKey(k.Purpose, k.Version, k.Stage)
		case !known && k.Version > newest[k.Purpose]:
			// One that this master key does not open would keep the control plane
			// from starting.
			if k.Stage != store.KeyRetired {
				if _, err := r.master.Open(sealedAs(k.Purpose, k.Version), k.Sealed); err != nil {
					return sealProblem(err)
				}
			}
			err = r.tx.AddKey(store.SealedKey{
				Purpose: k.Purpose, Version: k.Version, Sealed: k.Sealed, Public: k.Public, Bridge: k.Bridge,
				Stage: k.Stage, StageAt: k.StageAt, CreatedAt: k.Created,
			})
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("key %s: %w", name(k.Purpose, k.Version), err)
		}
		r.done.Keys++
	}
	return nil
}

// gateway lets a gateway stand as it stood: what it was before is dead.
func (r *replaying) gateway(g journal.Gateway) error {
	had, err := r.tx.Gateway(g.Name)
	if errors.Is(err, store.ErrNone) {
		return nil // unknown, and so is its certificate
	}
	if err != nil || g.Generation <= had.Generation {
		return err
	}
	key, generation, err := r.claim(g.PublicKey, "gateway "+g.Name, had.PublicKey, g.Generation)
	if err != nil {
		return err
	}
	if err := r.tx.MoveGateway(g.Name, generation, key); err != nil {
		return err
	}
	r.done.Gateways++
	return r.tx.Audit(store.Event{
		Actor: r.actor, Action: string(provisioner.ActionJoinGateway), Object: audit.Object{Kind: "gateway", ID: g.Name}, Reason: replayReason,
		Details: map[string]string{"generation": strconv.FormatInt(generation, 10)},
	})
}

// claim takes a key for its owner. One that is unusable or another's leaves the
// former key and goes one generation further, in which nobody has a certificate.
func (r *replaying) claim(raw []byte, owner string, former provisioner.Key, generation int64) (provisioner.Key, int64, error) {
	key, err := provisioner.ParseKey(raw)
	if err != nil {
		return former, generation + 1, nil //nolint:nilerr // that is what becomes of one that is unusable
	}
	has, err := r.tx.KeyOwner(key)
	switch {
	case errors.Is(err, store.ErrNone):
		return key, generation, r.tx.ClaimKey(key, owner)
	case err == nil && has == owner:
		return key, generation, nil
	default:
		return former, generation + 1, err
	}
}

// devices takes from those that are known first: a laptop that was enrolled in
// the place of another one finds its place free then.
func (r *replaying) devices(list []journal.Device) error {
	var unknown []journal.Device
	for _, d := range list {
		had, err := r.tx.Device(d.ID)
		if errors.Is(err, store.ErrNone) {
			unknown = append(unknown, d)
			continue
		}
		if err == nil {
			err = r.device(had, d)
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", d.ID, err)
		}
	}
	for _, d := range unknown {
		if !d.Revoked && len(d.Suspended) == 0 {
			continue // it enrols anew
		}
		if err := r.add(d); err != nil {
			return fmt.Errorf("device %s: %w", d.ID, err)
		}
	}
	return nil
}

func (r *replaying) device(had provisioner.Device, d journal.Device) error {
	if d.Generation > had.Generation {
		key, generation, err := r.claim(d.PublicKey, "device "+d.ID, had.PublicKey, d.Generation)
		if err != nil {
			return err
		}
		if err := r.tx.MoveDevice(had, generation, key); err != nil {
			return err
		}
		r.done.Replaced++
		if err := r.audit(had, string(provisioner.ActionEnrol), map[string]string{"generation": strconv.FormatInt(generation, 10)}); err != nil {
			return err
		}
	}
	if d.Revoked {
		changed, err := r.tx.RevokeDevice(had, replayReason)
		if err != nil || !changed {
			return err
		}
		r.done.Revoked++
		return r.audit(had, string(provisioner.ActionRevokeDevice), nil)
	}
	suspended := false
	for _, source := range d.Suspended {
		changed, err := r.tx.SuspendDevice(had, provisioner.Suspension{Source: source, Reason: replayReason, Since: r.tx.Now})
		if err != nil {
			return err
		}
		if !changed || had.State() == provisioner.DeviceRevoked {
			continue
		}
		suspended = true
		if err := r.rests(had, source); err != nil {
			return err
		}
		if err := r.audit(had, string(provisioner.ActionSuspendDevice), map[string]string{"source": string(source)}); err != nil {
			return err
		}
	}
	if suspended {
		r.done.Suspended++
	}
	return nil
}

// rests has the person or tenant rest as a whole with whom a device did, for those to
// come. Until when it was to be is not in the journal.
func (r *replaying) rests(d provisioner.Device, source provisioner.SuspensionSource) (err error) {
	switch source {
	case provisioner.SuspendedWithPerson:
		_, err = r.tx.SuspendPerson(d.Person, d.Tenant, replayReason, time.Time{})
	case provisioner.SuspendedWithTenant:
		_, err = r.tx.SuspendTenant(d.Tenant, replayReason, time.Time{})
	}
	return err
}

// add enters a device that was enrolled and taken after the backup: without it,
// the same laptop could simply be enrolled anew.
func (r *replaying) add(d journal.Device) error {
	known, err := r.tx.HasPerson(d.Person, d.Tenant)
	if err != nil {
		return err
	}
	key, err := provisioner.ParseKey(d.PublicKey)
	if err == nil {
		_, err = r.tx.KeyOwner(key)
	}
	living := store.ErrNone
	if !d.Revoked && known {
		_, living = r.tx.DeviceBySerial(d.Tenant, d.Person, d.SerialNumber)
	}
	if !known || !errors.Is(err, store.ErrNone) || !errors.Is(living, store.ErrNone) {
		r.done.Unknown = append(r.done.Unknown, d.ID)
		return nil
	}
	made := provisioner.Device{
		ID: d.ID, Tenant: d.Tenant, Person: d.Person, Generation: d.Generation, Name: "laptop", SerialNumber: d.SerialNumber,
		PublicKey: key, EnrolledAt: r.tx.Now,
	}
	if d.Revoked {
		made.SerialNumber = "" // a living device may have it by now
	}
	if err := r.tx.AddDevice(made); err != nil {
		return err
	}
	return r.device(made, d)
}

// statics lets static peers go on of which nothing was taken: nobody else would
// open a session for them.
func (r *replaying) statics() error {
	list, err := r.tx.StaticPeers()
	if err != nil {
		return err
	}
	for _, device := range list {
		if _, err := r.tx.OpenStatic(device); err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("static peer %s: %w", device, err)
		}
	}
	return nil
}

// forget forgets somebody whom the backup brought back.
func (r *replaying) forget(p journal.Forgotten) error {
	person, err := r.tx.Person(p.Person)
	if errors.Is(err, store.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s := store.Subject{Person: person, Tenant: p.Tenant}
	if known, err := r.tx.Knows(s); err != nil || !known {
		return err
	}
	// What the backup says is in use is given back before its rows go.
	devices, err := r.tx.DevicesOf(person.ID, p.Tenant)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if _, err := access.Revoke(r.tx, r.actor, d, replayReason); err != nil {
			return err
		}
	}
	m, err := r.tx.MentionsOf(s)
	if err != nil {
		return err
	}
	for _, own := range []bool{false, true} {
		m.Own = own
		if err := r.tx.ShortenMentions(m, time.Time{}); err != nil {
			return err
		}
	}
	if err := r.tx.ForgetEverything(s); err != nil {
		return err
	}
	r.done.Forgotten++
	return r.tx.Audit(store.Event{
		Actor: r.actor, Tenant: p.Tenant, Action: string(provisioner.ActionForgetPerson), Object: audit.Object{Kind: "person", ID: p.Person},
		Reason: replayReason,
	})
}

func (r *replaying) audit(d provisioner.Device, action string, details map[string]string) error {
	if details == nil {
		details = make(map[string]string)
	}
	details["person"] = d.Person
	return r.tx.Audit(store.Event{
		Actor: r.actor, Tenant: d.Tenant, Action: action, Object: audit.Object{Kind: "device", ID: d.ID, Name: d.Name},
		Reason: replayReason, Details: details,
	})
}

// sealedAs is the purpose for which a key is sealed.
func sealedAs(purpose string, version int64) string {
	if purpose == keyring.PurposeSessionRoot {
		return keyring.RootPurpose(version)
	}
	return purpose
}
