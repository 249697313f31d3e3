package enrolment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Laptop is what an agent says of the laptop that is to be known.
type Laptop struct {
	CertificateRequest []byte // PKCS #10 with an Ed25519 key
	PublicKey          []byte // WireGuard's, 32 bytes
	DeviceName         string // empty: its serial number
	SerialNumber       string // empty: could not be read
	Platform           string
	AgentVersion       string
	// Acknowledges is the version of the tenant's house rules that the person
	// acknowledges with this; empty: none.
	Acknowledges string
}

// EnrolRequest asks that a laptop be known, with the password of its person.
type EnrolRequest struct {
	Laptop

	Credentials signin.Credentials
}

// Enrolled is a laptop that is known now.
type Enrolled struct {
	Device      provisioner.Device
	PersonName  string // to greet her by
	Certificate provisioner.Certificate
	Replaced    bool // an earlier enrolment of this laptop
	// AwaitsApproval says that it rests until the helpdesk has approved it.
	AwaitsApproval bool
}

// Enrol registers a laptop's keys for a person who proves her password. The
// same person on the same serial number replaces the device: same id, next
// generation, its session closed, the old keys dead. Refusals are those of
// signin.Service.Prove and Confirm, and after the password is proven
// wireguard-key-invalid, wireguard-key-in-use, certificate-request-invalid,
// invalid, house-rules, device-limit, device-suspended and those of MayAdd.
func (s *Service) Enrol(ctx context.Context, actor provisioner.Actor, r EnrolRequest) (Enrolled, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionEnrol, provisioner.Object{}); refusal != nil {
		return Enrolled{}, refusal
	}
	proof, err := s.SignIn.Prove(ctx, actor, r.Credentials)
	if err != nil {
		return Enrolled{}, err
	}
	// Before a code is used up, which she would need once more when she has read them.
	if err := s.Store.View(ctx, func(tx *store.Reader) error { _, err := read(tx, proof, r.Acknowledges); return err }); err != nil {
		return Enrolled{}, fmt.Errorf("enrolling a laptop: %w", err)
	}
	if err := s.SignIn.Confirm(ctx, actor, proof, r.Credentials.Code, signin.Enrolling); err != nil {
		return Enrolled{}, err
	}
	return s.enrol(ctx, actor, proven{Proof: proof, way: wayPassword}, r.Laptop)
}

// proven is a person in a tenant of whom it is certain that she wants a laptop
// known, whatever the way in which she has made it certain. That she may use
// the tenant's access has been looked at too.
type proven struct {
	signin.Proof

	way way
	// claim uses up what proved it (a code, an invitation), or refuses it. It runs
	// first in the transaction that writes the device, perhaps more than once, so
	// that it counts once and only with the device. Nil: nothing is used up.
	claim func(tx *store.Writer) error
	// serialBy is who vouches for the laptop's serial number. Empty: nobody does.
	serialBy provisioner.SerialBy
	// details are for the audit record.
	details map[string]string
	// keep runs last in that transaction. Nil: there is nothing more to keep.
	keep func(tx *store.Writer, e Enrolled) error
}

// way is how somebody has proved herself, for the records.
type way string

const wayPassword way = "password"

// enrol makes a laptop known for a person who is proven. Refusals are those of
// proven.claim, wireguard-key-invalid, wireguard-key-in-use,
// certificate-request-invalid, invalid, house-rules, device-limit and
// device-suspended. The helpdesk sees them, but for house-rules: that is how
// people come to be asked.
func (s *Service) enrol(ctx context.Context, actor provisioner.Actor, by proven, of Laptop) (Enrolled, error) {
	e := enrolling{service: s, actor: asPerson(actor, by.Proof), proven: by, request: of}
	enrolled, err := e.run(ctx)
	if refusal, ok := provisioner.AsRefusal(err); ok && refusal.Code != provisioner.CodeHouseRules {
		s.remember(ctx, actor, by.Proof, refusal)
	}
	return enrolled, err
}

// asPerson is the actor once her password is proven, for the records.
func asPerson(actor provisioner.Actor, proof signin.Proof) provisioner.Actor {
	actor.ID, actor.Name = proof.Person.ID, proof.Person.DisplayName
	actor.Grants = []provisioner.Grant{{Role: provisioner.RoleStaff, Tenant: proof.Tenant.Name}}
	return actor
}

// enrolling is one enrolment.
type enrolling struct {
	service *Service
	actor   provisioner.Actor // the person
	proven  proven
	request Laptop
	laptop  laptop
}

func (e *enrolling) run(ctx context.Context) (enrolled Enrolled, err error) {
	var refusal *provisioner.Refusal
	if e.laptop, refusal = laptopOf(e.request); refusal != nil {
		return enrolled, refusal
	}
	if refusal := e.proven.Tenant.NeedsSponsor(e.proven.Standing); refusal != nil {
		return enrolled, refusal
	}
	var revision int64
	err = e.service.Store.Update(ctx, func(tx *store.Writer) (err error) {
		if enrolled, err = e.write(tx); err == nil {
			revision = tx.Revision()
		}
		return err
	})
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrolling a laptop: %w", err)
	}
	if enrolled.Replaced {
		e.service.kept(ctx, revision) // the former keys are dead
	}
	return enrolled, nil
}

// write is the transaction.
func (e *enrolling) write(tx *store.Writer) (enrolled Enrolled, err error) {
	if e.proven.claim != nil {
		if err := e.proven.claim(tx); err != nil {
			return enrolled, err
		}
	}
	acknowledged, err := e.rules(tx)
	if err != nil {
		return enrolled, err
	}
	enrolled = Enrolled{PersonName: e.proven.Person.DisplayName}
	former, err := tx.DeviceBySerial(e.proven.Tenant.Name, e.proven.Person.ID, e.laptop.serial)
	switch {
	case errors.Is(err, store.ErrNone):
		enrolled.Device, enrolled.Certificate, err = e.add(tx)
	case err == nil:
		enrolled.Replaced = true
		enrolled.Device, enrolled.Certificate, err = e.replace(tx, former)
	}
	if err != nil {
		return enrolled, err
	}
	if err := e.await(tx, &enrolled); err != nil {
		return enrolled, err
	}
	if acknowledged != "" {
		if err := tx.Acknowledge(enrolled.Device.Person, enrolled.Device.Tenant, acknowledged, enrolled.Device.ID); err != nil {
			return enrolled, fmt.Errorf("keeping that house rules are acknowledged: %w", err)
		}
	}
	if e.proven.keep != nil {
		if err := e.proven.keep(tx, enrolled); err != nil {
			return enrolled, err
		}
	}
	return enrolled, e.record(tx, enrolled)
}

// await lets what is new rest until the helpdesk has approved it, where the
// tenant wants that. New keys on a serial number that was approved are new: the
// helpdesk has approved a key, and any program can say any serial number.
func (e *enrolling) await(tx *store.Writer, enrolled *Enrolled) error {
	if e.proven.Tenant.Policy.Approval != provisioner.ApprovalHelpdesk {
		return nil
	}
	enrolled.AwaitsApproval = true
	return access.Await(tx, enrolled.Device)
}

func (e *enrolling) record(tx *store.Writer, enrolled Enrolled) error {
	d := enrolled.Device
	details := map[string]string{"generation": strconv.FormatInt(d.Generation, 10), "way": string(e.proven.way)}
	maps.Copy(details, e.proven.details)
	if enrolled.AwaitsApproval {
		details["waits for"] = "approval"
	}
	return tx.Audit(store.Event{
		Actor: e.actor, Tenant: d.Tenant, Action: string(provisioner.ActionEnrol), Object: access.Object(d), Details: details,
	})
}

// add makes a new device, if the person may have one more.
func (e *enrolling) add(tx *store.Writer) (provisioner.Device, provisioner.Certificate, error) {
	d := provisioner.Device{
		ID: provisioner.NewID(), Tenant: e.proven.Tenant.Name, Person: e.proven.Person.ID, Generation: 1, SerialNumber: e.laptop.serial,
	}
	if err := MayAdd(tx, d); err != nil {
		return d, provisioner.Certificate{}, err
	}
	list, err := tx.DevicesOf(d.Person, d.Tenant)
	if err != nil {
		return d, provisioner.Certificate{}, fmt.Errorf("reading the person's devices: %w", err)
	}
	// Static peers do not count: whoever is responsible for a branch router has laptops too.
	living := slices.DeleteFunc(list, func(d provisioner.Device) bool { return d.State() == provisioner.DeviceRevoked || d.Static() })
	if e.laptop.serial == "" && slices.ContainsFunc(living, suspendedWithoutSerial) {
		// It may be that very laptop, and suspension is not to be shaken off.
		return d, provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeDeviceSuspended)
	}
	if limit := max(1, e.proven.Tenant.Policy.DevicesPerPerson); len(living) >= limit {
		return d, provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeDeviceLimit, "limit", strconv.Itoa(limit))
	}
	certificate, err := e.issue(tx, &d)
	if err != nil {
		return d, certificate, err
	}
	return d, certificate, tx.AddDevice(d)
}

// MayAdd refuses a further device to a person whose access rests, with person-suspended, or
// that of her whole tenant, with tenant-suspended, or ends by the directory's word, with
// access-held: what the brake holds back is for those who are connected, and no reason to
// give more.
func MayAdd(tx *store.Writer, d provisioner.Device) error {
	standing, err := tx.Standing(d.Person, d.Tenant)
	switch {
	case err == nil && standing.Held:
		return provisioner.Refuse(provisioner.CodeAccessHeld)
	case err != nil && !errors.Is(err, store.ErrNone):
		return fmt.Errorf("reading how the person stands: %w", err)
	}
	switch _, err := tx.TenantSuspended(d.Tenant, tx.Now); {
	case err == nil:
		return provisioner.Refuse(provisioner.CodeTenantSuspended)
	case !errors.Is(err, store.ErrNone):
		return fmt.Errorf("reading whether the tenant's access rests: %w", err)
	}
	v, err := tx.PersonSuspended(d.Person, d.Tenant, tx.Now)
	if errors.Is(err, store.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading whether the person's access rests: %w", err)
	}
	german, english := "", ""
	if !v.EndsAt.IsZero() {
		year, month, day := provisioner.DayOf(v.EndsAt)
		german, english = fmt.Sprintf(" bis zum %02d.%02d.%d", day, month, year), fmt.Sprintf(" until %d-%02d-%02d", year, month, day)
	}
	return provisioner.Refuse(provisioner.CodePersonSuspended).With("until", german, english)
}

func suspendedWithoutSerial(d provisioner.Device) bool {
	return d.SerialNumber == "" && d.State() == provisioner.DeviceSuspended
}

// replace gives a device new keys. What rests, rests on.
func (e *enrolling) replace(tx *store.Writer, d provisioner.Device) (provisioner.Device, provisioner.Certificate, error) {
	d.Generation++
	certificate, err := e.issue(tx, &d)
	if err != nil {
		return d, certificate, err
	}
	if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeDeviceReplaced); err != nil && !errors.Is(err, store.ErrNone) {
		return d, certificate, fmt.Errorf("closing the session of the replaced device: %w", err)
	}
	if err := tx.ReplaceDevice(d); err != nil {
		return d, certificate, err
	}
	return d, certificate, tx.DeviceReplaced(d)
}

// issue fills in what is new of the device and issues its certificate.
func (e *enrolling) issue(tx *store.Writer, d *provisioner.Device) (provisioner.Certificate, error) {
	d.Name, d.Platform, d.AgentVersion, d.PublicKey = e.laptop.name, e.laptop.platform, e.laptop.version, e.laptop.key
	d.EnrolledAt, d.SignedInAt = tx.Now, tx.Now
	d.SerialBy = cmp.Or(e.proven.serialBy, d.SerialBy) // of the same person and serial number, as before
	certificate, err := e.service.Certificates.Issue(e.request.CertificateRequest, holderOf(*d), tx.Now)
	d.CertificateNotAfter = certificate.NotAfter
	return certificate, err
}

func holderOf(d provisioner.Device) provisioner.Holder {
	return provisioner.Holder{Role: provisioner.RoleDevice, Tenant: d.Tenant, ID: d.ID, Generation: d.Generation}
}

// remember keeps a refusal after the password was proven for the helpdesk.
func (s *Service) remember(ctx context.Context, actor provisioner.Actor, proof signin.Proof, refusal *provisioner.Refusal) {
	cause := ""
	if refusal.Cause != nil {
		cause = audit.CleanText(refusal.Cause.Error(), 200)
	}
	err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error {
		return tx.AddRefusal(store.RecentRefusal{
			Tenant: proof.Tenant.Name, Login: store.Fold(proof.Person.Login), Person: proof.Person.ID,
			Code: refusal.Code, Cause: cause, Source: actor.Source,
		})
	})
	if err != nil {
		s.Logger.Error("keeping a refusal for the helpdesk", "error", err)
	}
}
