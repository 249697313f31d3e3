package enrolment

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// HandOverRequest gives a laptop to a colleague.
type HandOverRequest struct {
	TakeRequest

	To   string // her login or mail address
	Life time.Duration
}

// HandOver revokes a device and invites a colleague to enrol the laptop, in one
// transaction. Other people's devices on the laptop stay. To do it again waits
// again, and makes another invitation in place of the former one, whomever that was for.
func (s *Service) HandOver(ctx context.Context, actor provisioner.Actor, r HandOverRequest) (Taken, Invited, error) {
	const action = provisioner.ActionHandOverDevice
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Taken{}, Invited{}, refusal
	}
	if r.Reason = audit.CleanReason(r.Reason); r.Reason == "" {
		return Taken{}, Invited{}, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	life, refusal := lifeOf(r.Life)
	if refusal != nil {
		return Taken{}, Invited{}, refusal
	}
	to, err := s.takesOver(ctx, actor, r)
	if err != nil {
		return Taken{}, Invited{}, err
	}
	var taken Taken
	var open owed
	var invited Invited
	err = s.Store.UpdateUrgent(ctx, func(tx *store.Writer) (err error) {
		open = owed{}
		h := handing{actor: actor, reason: r.Reason, to: to, life: life}
		if taken.Device, invited, err = h.over(tx, r.Device); err != nil {
			return err
		}
		return open.add(tx, taken.Device.ID)
	})
	if err != nil {
		return Taken{}, Invited{}, fmt.Errorf("%s: %w", action, err)
	}
	taken.Confirmations = s.wait(ctx, r.Wait, open)
	return taken, invited, nil
}

// takesOver finds who is to have a laptop, in the tenant of its present person.
func (s *Service) takesOver(ctx context.Context, actor provisioner.Actor, r HandOverRequest) (signin.Proof, error) {
	var tenant provisioner.Tenant
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		d, err := FindDevice(tx, actor, provisioner.ActionHandOverDevice, r.Device)
		if err != nil {
			return err
		}
		tenant, err = tx.Tenant(d.Tenant)
		return err
	})
	if err != nil {
		return signin.Proof{}, err
	}
	return s.SignIn.Find(ctx, tenant, r.To)
}

// handing is one laptop that goes to a colleague.
type handing struct {
	actor  provisioner.Actor
	reason string
	to     signin.Proof
	life   time.Duration
}

// correct withdraws the invitations of a former handing over of the device: whoever was
// named by mistake is not to get the laptop.
func (h handing) correct(tx *store.Writer, d provisioner.Device) error {
	list, err := tx.HandedOver(d.Tenant, d.ID)
	if err != nil {
		return fmt.Errorf("reading whom it was handed over to: %w", err)
	}
	for _, former := range list {
		if former.Person == h.to.Person.ID {
			continue // the new one takes its place
		}
		if err := withdraw(tx, h.actor, former, h.reason); err != nil {
			return err
		}
	}
	return nil
}

func (h handing) over(tx *store.Writer, typed string) (d provisioner.Device, v Invited, err error) {
	const action = provisioner.ActionHandOverDevice
	if d, err = FindDevice(&tx.Reader, h.actor, action, typed); err != nil {
		return d, v, err
	}
	switch {
	case d.Person == h.to.Person.ID:
		return d, v, provisioner.Refuse(provisioner.CodeInvalid).With("field", "an wen", "to").
			With("why", "es ist schon der Laptop dieses Menschen", "it is this person's laptop already")
	case d.SerialNumber == "":
		return d, v, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Gerät", "device_id").
			With("why", "es nennt keine Seriennummer; entziehen Sie ihm den Zugang, und laden Sie mit --any-laptop ein", "it states no serial number; revoke it, and invite with --any-laptop")
	}
	changed, err := access.Revoke(tx, h.actor, d, h.reason)
	if err == nil && changed {
		err = access.Alone(tx, h.actor, access.Single{Tenant: d.Tenant, Person: d.Person})
	}
	if err != nil {
		return d, v, err
	}
	if err := h.correct(tx, d); err != nil {
		return d, v, err
	}
	v.Tenant, v.SerialNumber, v.HandedOver = d.Tenant, d.SerialNumber, d.ID
	v.of(h.to)
	if err := invite(tx, h.actor, &v, h.life, map[string]string{"handed over from device": d.ID}); err != nil {
		return d, v, err
	}
	if err := tx.Audit(store.Event{
		Actor: h.actor, Tenant: d.Tenant, Action: string(action), Object: access.Object(d), Reason: h.reason,
		Details: map[string]string{"person": d.Person, "to": h.to.Person.ID, "invitation": v.ID},
	}); err != nil {
		return d, v, err
	}
	d, err = tx.Device(d.ID)
	return d, v, err
}
