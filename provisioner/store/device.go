package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

const (
	deviceColumns = `d.id, d.tenant, d.person, d.generation, d.name, d.serial_number, d.platform, d.public_key, d.agent_version,
	d.enrolled_at, d.certificate_not_after, d.revoked_at, d.revoked_why, d.signed_in_at, d.static_until, d.serial_by, d.conditions `
	selectDevice = `select ` + deviceColumns + `from device d `
)

func scanDevice(s scanner) (provisioner.Device, error) { return scanDeviceAnd(s) }

func scanDeviceAnd(s scanner, more ...any) (d provisioner.Device, err error) {
	var key, conditions string
	var enrolled, notAfter, revoked, signedIn, static int64
	if err := s.Scan(append([]any{&d.ID, &d.Tenant, &d.Person, &d.Generation, &d.Name, &d.SerialNumber, &d.Platform, &key, &d.AgentVersion,
		&enrolled, &notAfter, &revoked, &d.RevokedWhy, &signedIn, &static, &d.SerialBy, &conditions}, more...)...); err != nil {
		return d, err
	}
	d.EnrolledAt, d.CertificateNotAfter, d.RevokedAt, d.SignedInAt, d.StaticUntil = at(enrolled), at(notAfter), at(revoked), at(signedIn), at(static)
	d.Conditions = provisioner.ParseConditions(conditions)
	d.PublicKey, err = keyFromText(key)
	return d, err
}

// Device reads by id, with its suspensions; ErrNone if there is none.
func (r *Reader) Device(id string) (provisioner.Device, error) {
	l := r.ledger()
	if l == nil {
		return deviceOf(r.q, id)
	}
	d, err := l.device(id)
	if err != nil {
		return provisioner.Device{}, err
	}
	return d.device, nil
}

func deviceOf(q querier, id string) (provisioner.Device, error) {
	d, err := one(q, scanDevice, selectDevice+`where d.id = $1`, id)
	if err != nil {
		return d, err
	}
	return withSuspensions(q, d)
}

// OwnDevice reads the calling device and refuses one that is unknown, revoked,
// suspended or replaced.
func (r *Reader) OwnDevice(actor provisioner.Actor) (provisioner.Device, error) {
	device, err := r.Device(actor.ID)
	return admitted(device, err, actor)
}

func admitted(device provisioner.Device, err error, actor provisioner.Actor) (provisioner.Device, error) {
	if errors.Is(err, ErrNone) {
		return device, provisioner.Refuse(provisioner.CodeDeviceUnknown)
	}
	if err != nil {
		return device, fmt.Errorf("reading the device: %w", err)
	}
	if refusal := device.MayUse(actor.Generation); refusal != nil {
		return device, refusal
	}
	return device, nil
}

// Applicant is a device that wants a session, with what is known about it.
type Applicant struct {
	Device provisioner.Device
	Person provisioner.Person
	Tenant provisioner.Tenant
	// Closed is when the nth last of its closed sessions was closed; the zero
	// time if fewer are known.
	Closed time.Time
	// Acknowledged is the version of the tenant's house rules that the person has
	// acknowledged last; empty: none.
	Acknowledged string
	// Taken is how often the device has taken its place in the queue; zero: it has none.
	Taken seat.Taken
	// Beside are other people's devices on the same laptop, by id; of those of which
	// somebody vouches for the serial number, its own among them.
	Beside []string
}

// Applicant reads the calling device and whose it is, as OwnDevice does, and
// when the nth last of its sessions was closed.
func (r *Reader) Applicant(actor provisioner.Actor, n int) (Applicant, error) {
	var suspensions, beside int64
	a, err := one(r.q, func(s scanner) (a Applicant, err error) {
		var declaration string
		var closed, crisis, taken int64
		p := &a.Person
		if a.Device, err = scanDeviceAnd(s, &suspensions, &p.ID, &p.Directory, &p.StableID, &p.Login, &p.DisplayName, &p.Mail,
			&declaration, &crisis, &closed, &a.Acknowledged, &beside, &taken, &a.Taken.Times); err != nil {
			return a, err
		}
		a.Closed, a.Tenant.CrisisSince, a.Taken.Since = at(closed), at(crisis), at(taken)
		return a, fromJSON(declaration, &a.Tenant)
	}, `select `+deviceColumns+`, (select count(*) from suspension where device = d.id),
			p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, t.declaration, t.crisis_since,
			coalesce((select s.closed_at from session s where s.device = d.id and s.closed_revision > 0
				order by s.closed_revision desc limit 1 offset $1), 0),
			coalesce((select k.version from acknowledgement k where k.person = d.person and k.tenant = d.tenant order by k.acknowledged_at desc limit 1), ''),
			(select count(*) from device o where o.tenant = d.tenant and o.serial_number = d.serial_number and o.serial_number <> '' and o.revoked_at = 0
				and o.serial_by <> '' and d.serial_by <> ''),
			coalesce(q.taken_since, 0), coalesce(q.taken, 0)
		from device d join person p on p.id = d.person join tenant t on t.name = d.tenant left join seat_queue q on q.device = d.id where d.id = $2`, n-1, actor.ID)
	if err == nil && suspensions > 0 {
		a.Device, err = withSuspensions(r.q, a.Device)
	}
	if err == nil && beside > 1 {
		d := a.Device
		a.Beside, err = all(r.q, value[string], `select id from device where tenant = $1 and serial_number = $2 and serial_number <> '' and revoked_at = 0
			and serial_by <> '' and id <> $3 order by id`, d.Tenant, d.SerialNumber, d.ID)
	}
	a.Device, err = admitted(a.Device, err, actor)
	return a, err
}

func withSuspensions(q querier, d provisioner.Device) (provisioner.Device, error) {
	list, err := all(q, scanSuspension, selectSuspension+`where device = $1 order by source`, d.ID)
	for _, v := range list {
		d.SuspendedBy = append(d.SuspendedBy, v.suspension)
	}
	return d, err
}

type suspensionRow struct {
	device     string
	suspension provisioner.Suspension
}

const selectSuspension = `select device, source, reason, since, ends_at from suspension `

func scanSuspension(s scanner) (v suspensionRow, err error) {
	var since, ends int64
	err = s.Scan(&v.device, &v.suspension.Source, &v.suspension.Reason, &since, &ends)
	v.suspension.Since, v.suspension.EndsAt = at(since), at(ends)
	return v, err
}

// idLetters are those of which ids are made (provisioner.NewID).
const idLetters = "abcdefghijklmnopqrstuvwxyz0123456789"

// DevicesByPrefix lists at most two devices in scope whose id begins so.
func (r *Reader) DevicesByPrefix(scope provisioner.Scope, prefix string) ([]provisioner.Device, error) {
	if strings.Trim(prefix, idLetters) != "" {
		return nil, nil
	}
	a := new(args)
	// A range, which finds its way by the index; LIKE would look at every device.
	where := `where d.id >= ` + a.add(prefix) + ` and d.id <= ` + a.add(prefix+strings.Repeat("z", 32)) + ` and ` + a.scope(scope, "d.tenant")
	return r.devices(selectDevice+where+` order by d.id limit 2`, a.list...)
}

// DevicesOf lists a person's devices in a tenant, the newest first, revoked
// ones included.
func (r *Reader) DevicesOf(person, tenant string) ([]provisioner.Device, error) {
	return r.devices(selectDevice+`where d.person = $1 and d.tenant = $2 order by d.enrolled_at desc, d.id`, person, tenant)
}

// DeviceBySerial finds the living device of a person on a machine; ErrNone if
// there is none.
func (r *Reader) DeviceBySerial(tenant, person, serial string) (provisioner.Device, error) {
	d, err := one(r.q, scanDevice, selectDevice+`where d.tenant = $1 and d.person = $2 and d.serial_number = $3 and d.serial_number <> '' and d.revoked_at = 0`,
		tenant, person, serial)
	if err != nil {
		return d, err
	}
	return withSuspensions(r.q, d)
}

func (r *Reader) devices(query string, values ...any) ([]provisioner.Device, error) {
	list, err := all(r.q, scanDevice, query, values...)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var a args
	suspensions, err := all(r.q, scanSuspension, selectSuspension+`where device`+a.in(idsOf(list))+` order by source`, a.list...)
	of := make(map[string][]provisioner.Suspension)
	for _, v := range suspensions {
		of[v.device] = append(of[v.device], v.suspension)
	}
	for i := range list {
		list[i].SuspendedBy = of[list[i].ID]
	}
	return list, err
}

func idsOf(devices []provisioner.Device) []string {
	ids := make([]string, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	return ids
}

// AddDevice writes a new device and claims its key. A key that anybody has
// ever used is refused. Where the person's or the tenant's access rests, so does the
// device's.
func (w *Writer) AddDevice(d provisioner.Device) error {
	if err := w.ClaimKey(d.PublicKey, "device "+d.ID); err != nil {
		return err
	}
	if err := run(w.q, `insert into device (id, tenant, person, generation, name, serial_number, platform, public_key, agent_version,
			enrolled_at, certificate_not_after, revoked_at, revoked_why, search, signed_in_at, static_until, serial_by)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '', $12, $13, $14, $15)`,
		d.ID, d.Tenant, d.Person, d.Generation, d.Name, d.SerialNumber, d.Platform, d.PublicKey.String(), d.AgentVersion,
		ms(d.EnrolledAt), ms(d.CertificateNotAfter), deviceText(d), ms(d.SignedInAt), ms(d.StaticUntil), string(d.SerialBy)); err != nil {
		return err
	}
	return w.restAsOthers(d)
}

// ReplaceDevice writes new keys, generation, name and certificate of a device
// that is enrolled again. What rests, rests on; also if it rests only from now on, as
// its person or tenant does: whoever takes the access of many may not have come to it.
func (w *Writer) ReplaceDevice(d provisioner.Device) error {
	if err := w.ClaimKey(d.PublicKey, "device "+d.ID); err != nil {
		return err
	}
	if err := run(w.q, `update device set generation = $1, name = $2, platform = $3, public_key = $4, agent_version = $5, enrolled_at = $6,
		certificate_not_after = $7, search = $8, signed_in_at = $9, static_until = $10, serial_by = $11 where id = $12`,
		d.Generation, d.Name, d.Platform, d.PublicKey.String(), d.AgentVersion, ms(d.EnrolledAt), ms(d.CertificateNotAfter),
		deviceText(d), ms(d.SignedInAt), ms(d.StaticUntil), string(d.SerialBy), d.ID); err != nil {
		return err
	}
	return w.restAsOthers(d)
}

// ClaimKey makes a WireGuard key somebody's for good. A key that anybody has
// ever used is refused.
func (w *Writer) ClaimKey(key provisioner.Key, owner string) error {
	_, err := changed(w.q, `insert into used_key (public_key, owner) values ($1, $2)`, key.String(), owner)
	return w.store.refuseUnique(err, provisioner.CodeKeyInUse)
}

// KeyOwner tells who uses or used a key; ErrNone if nobody ever did.
func (r *Reader) KeyOwner(key provisioner.Key) (string, error) {
	return one(r.q, value[string], `select owner from used_key where public_key = $1`, key.String())
}

// NoteCertificate keeps until when the newest certificate of a device holds.
func (w *Writer) NoteCertificate(device string, notAfter time.Time) error {
	return run(w.q, `update device set certificate_not_after = $1 where id = $2`, ms(notAfter), device)
}

// NoteAgent keeps the version that a laptop's agent states.
func (w *Writer) NoteAgent(device, version string) error {
	d, err := w.ledger().device(device)
	if err != nil || d.device.AgentVersion == version {
		return err
	}
	change(w.ledger(), d)
	d.device.AgentVersion = version
	return w.beside().run(`update device set agent_version = $1 where id = $2`, version, device)
}

// NoteConditions keeps what a laptop answered last of what its tenant asks.
func (w *Writer) NoteConditions(device string, kept []provisioner.ConditionState) error {
	d, err := w.ledger().device(device)
	if err != nil {
		return err
	}
	change(w.ledger(), d)
	d.device.Conditions = kept
	return w.beside().run(`update device set conditions = $1 where id = $2`, provisioner.ConditionsText(kept), device)
}

// VouchForSerial keeps who vouches for the serial number of a device.
func (w *Writer) VouchForSerial(device string, by provisioner.SerialBy) error {
	_, err := w.changedDevice(device, `update device set serial_by = $1 where id = $2`, string(by), device)
	return err
}

// NoteSignIn keeps when the device's person last proved who she is.
func (w *Writer) NoteSignIn(device string, at time.Time) error {
	d, err := w.ledger().device(device)
	if err != nil {
		return err
	}
	change(w.ledger(), d)
	d.device.SignedInAt = at
	return w.beside().run(`update device set signed_in_at = $1 where id = $2`, ms(at), device)
}

// RevokeDevice marks a device as revoked. It reports false if it was already.
// The change is recorded; what a static peer held is free, and closing the session
// is the caller's next step.
func (w *Writer) RevokeDevice(d provisioner.Device, why string) (bool, error) {
	n, err := w.changedDevice(d.ID, `update device set revoked_at = $1, revoked_why = $2, conditions = '' where id = $3 and revoked_at = 0`, ms(w.Now), why, d.ID)
	if err != nil || n == 0 {
		return false, err
	}
	if d.Static() {
		if err := w.EndStatic(d); err != nil {
			return false, err
		}
	}
	return true, w.deviceChanged(d)
}

// SuspendDevice lets access rest for one source; false if that source had
// already taken it for as long. One that ends later, or never, takes the place of
// one that ends.
func (w *Writer) SuspendDevice(d provisioner.Device, s provisioner.Suspension) (bool, error) {
	n, err := w.changedDevice(d.ID, `insert into suspension (device, source, reason, since, ends_at) values ($1, $2, $3, $4, $5)
		on conflict (device, source) do update set reason = excluded.reason, ends_at = excluded.ends_at
			where suspension.ends_at > 0 and (excluded.ends_at = 0 or excluded.ends_at > suspension.ends_at)`,
		d.ID, string(s.Source), s.Reason, ms(s.Since), ms(s.EndsAt))
	if err != nil || n == 0 {
		return false, err
	}
	return true, w.deviceChanged(d)
}

// RestoreDevice gives back what a source took; false if it had taken nothing. A
// static peer is back at once: there is nobody to open a session for it.
func (w *Writer) RestoreDevice(d provisioner.Device, source provisioner.SuspensionSource) (bool, error) {
	n, err := w.changedDevice(d.ID, `delete from suspension where device = $1 and source = $2`, d.ID, string(source))
	if err != nil || n == 0 {
		return false, err
	}
	if err := w.deviceChanged(d); err != nil || !d.Static() {
		return true, err
	}
	if _, err := w.OpenStatic(d.ID); err != nil && !errors.Is(err, ErrNone) {
		return true, fmt.Errorf("giving a static peer its session back: %w", err)
	}
	return true, nil
}

// changedDevice runs a statement that writes nothing of what the ledger keeps but
// this device.
func (w *Writer) changedDevice(id, query string, args ...any) (int64, error) {
	touch(w.ledger(), w.ledger().rows.devices, id)
	return changed(w.beside(), query, args...)
}

// DeviceReplaced records that the device's generation moved.
func (w *Writer) DeviceReplaced(d provisioner.Device) error { return w.deviceChanged(d) }

func (w *Writer) deviceChanged(d provisioner.Device) error {
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: d.Tenant, Device: d.ID})
	return err
}
