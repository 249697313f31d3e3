package main

import (
	"context"
	"slices"
	"strings"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

type deviceCommands struct {
	Show    deviceShowCommand    `cmd:"" help:"${device_show}"`
	Revoke  deviceRevokeCommand  `cmd:"" help:"${device_revoke}"`
	Suspend deviceSuspendCommand `cmd:"" help:"${device_suspend}"`
	Restore deviceRestoreCommand `cmd:"" help:"${device_restore}"`
	Waiting deviceWaitingCommand `cmd:"" help:"${device_waiting}"`
	Approve deviceApproveCommand `cmd:"" help:"${device_approve}"`
	Deny    deviceDenyCommand    `cmd:"" help:"${device_deny}"`

	HandOver deviceHandOverCommand `cmd:"" help:"${device_hand_over}"`
	Static   deviceStaticCommand   `cmd:"" help:"${device_static}"`
	Lost     deviceLostCommand     `cmd:"" help:"${device_lost}"`

	Diagnosis deviceDiagnosisCommand `cmd:"" help:"${device_diagnosis}"`
	Versions  deviceVersionsCommand  `cmd:"" help:"${device_versions}"`
}

// deviceArg names a device.
type deviceArg struct {
	ID string `arg:"" name:"id" help:"${device_id}"`
}

// because is why somebody's access changes; it is recorded.
type because struct {
	Reason string `required:"" placeholder:"TEXT" help:"${reason}"`
}

func (b because) reason(a *app, command string) (string, error) {
	if s := strings.TrimSpace(b.Reason); s != "" {
		return s, nil
	}
	return "", usageError{words{"--reason ist leer: Der Grund wird protokolliert", "--reason is empty: the reason is recorded"}.in(a.language), command}
}

// urgent says that there is no time for a second person.
type urgent struct {
	Emergency bool `help:"${emergency}"`
}

// waiting is how long to wait for the gateways.
type waiting struct {
	Wait time.Duration `default:"5s" placeholder:"5s" help:"${wait}"`
}

func (w waiting) milliseconds(a *app, command string) (int64, error) {
	if w.Wait < time.Millisecond || w.Wait > time.Minute {
		return 0, usageError{words{"--wait geht von 1ms bis 60s", "--wait goes from 1ms to 60s"}.in(a.language), command}
	}
	return w.Wait.Milliseconds(), nil
}

type deviceShowCommand struct{ deviceArg }

// Run shows a device.
func (c *deviceShowCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.GetDevice(ctx, &heimdrahtv1.GetDeviceRequest{DeviceId: c.ID})
		if err != nil {
			return err
		}
		return card(a.printer, deviceColumns(), r.GetDevice())
	})
}

type deviceRevokeCommand struct {
	deviceArg
	because
	urgent
	waiting
}

// Run ends a device for good, and waits until the gateways have confirmed.
func (c *deviceRevokeCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht device revoke"
	return a.take(ctx, c.because, c.waiting, command, func(ctx context.Context, k *client, reason string, wait int64) (taken, error) {
		r, err := k.desk.RevokeDevice(ctx, &heimdrahtv1.RevokeDeviceRequest{DeviceId: c.ID, Reason: reason, WaitMs: wait, Emergency: c.Emergency})
		return taken{devices: devicesOf(r.GetDevice()), confirmations: r.GetConfirmations(), one: true}, err
	})
}

type deviceSuspendCommand struct {
	deviceArg
	because
	urgent
	waiting
}

// Run lets access rest, and waits until the gateways have confirmed.
func (c *deviceSuspendCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht device suspend"
	return a.take(ctx, c.because, c.waiting, command, func(ctx context.Context, k *client, reason string, wait int64) (taken, error) {
		r, err := k.desk.SuspendDevice(ctx, &heimdrahtv1.SuspendDeviceRequest{DeviceId: c.ID, Reason: reason, WaitMs: wait, Emergency: c.Emergency})
		return taken{devices: devicesOf(r.GetDevice()), confirmations: r.GetConfirmations(), one: true}, err
	})
}

type personRevokeCommand struct {
	ID     string `arg:"" name:"id" help:"${person_id}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
	because
	urgent
	waiting
}

// Run ends every device of a person in a tenant.
func (c *personRevokeCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht person revoke"
	return a.take(ctx, c.because, c.waiting, command, func(ctx context.Context, k *client, reason string, wait int64) (taken, error) {
		r, err := k.desk.RevokePerson(ctx, &heimdrahtv1.RevokePersonRequest{PersonId: c.ID, Tenant: c.Tenant, Reason: reason, WaitMs: wait, Emergency: c.Emergency})
		return taken{devices: r.GetDevices(), confirmations: r.GetConfirmations()}, err
	})
}

type deviceRestoreCommand struct {
	deviceArg
	because
	urgent
}

// Run gives back what suspend took.
func (c *deviceRestoreCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht device restore")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.RestoreDevice(ctx, &heimdrahtv1.RestoreDeviceRequest{DeviceId: c.ID, Reason: reason, Emergency: c.Emergency})
		if err != nil {
			return err
		}
		switch a.form {
		case formTable:
			a.sayState(r.GetDevice())
			return nil
		case formJSON:
			return a.json(orderedObject{{"device", object(deviceColumns(), r.GetDevice())}})
		default:
			return card(a.printer, deviceColumns(), r.GetDevice())
		}
	})
}

func devicesOf(d *heimdrahtv1.Device) []*heimdrahtv1.Device {
	if d == nil {
		return nil
	}
	return []*heimdrahtv1.Device{d}
}

// taken is what was done to devices, and which gateways have confirmed it.
type taken struct {
	devices       []*heimdrahtv1.Device
	confirmations []*heimdrahtv1.GatewayConfirmation
	one           bool // it was about a device, not a person
	invitation    *invited
}

func (t taken) confirmed() bool {
	return !slices.ContainsFunc(t.confirmations, func(c *heimdrahtv1.GatewayConfirmation) bool { return !c.GetConfirmed() })
}

// take takes access and shows the proof.
func (a *app) take(ctx context.Context, b because, w waiting, command string,
	do func(ctx context.Context, k *client, reason string, wait int64) (taken, error)) error {
	reason, err := b.reason(a, command)
	if err != nil {
		return err
	}
	wait, err := w.milliseconds(a, command)
	if err != nil {
		return err
	}
	// The server answers when the wait is over; the rest is for the way.
	ctx, cancel := context.WithTimeout(ctx, w.Wait+20*time.Second)
	defer cancel()
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var t taken
		err := a.while(words{"warte auf die Zugangsserver ...", "waiting for the gateways ..."}, func() (err error) {
			t, err = do(ctx, k, reason, wait)
			return err
		})
		if err != nil {
			return err
		}
		return a.showTaken(t)
	})
}

func (a *app) showTaken(t taken) error {
	var err error
	switch a.form {
	case formJSON:
		devices := pair{"devices", objects(deviceColumns(), t.devices)}
		if t.one && len(t.devices) == 1 {
			devices = pair{"device", object(deviceColumns(), t.devices[0])}
		}
		o := orderedObject{devices, {"confirmations", objects(confirmationColumns(), t.confirmations)}, {"confirmed", t.confirmed()}}
		if t.invitation != nil {
			o = append(o, pair{"invitation", object(invitedColumns(), *t.invitation)})
		}
		err = a.json(o)
	case formCSV:
		if t.invitation != nil { // what cannot be told again goes before what can
			err = card(a.printer, invitedColumns(), *t.invitation)
			break
		}
		err = list(a.printer, "confirmations", confirmationColumns(), t.confirmations)
	default:
		a.sayTaken(t)
	}
	if err != nil || t.confirmed() {
		return err
	}
	return problem(codeNotConfirmed,
		words{"Nicht jeder Zugangsserver hat bestätigt.", "Not every gateway has confirmed."},
		words{"Wiederholen Sie den Befehl: Er wartet noch einmal. Ein Zugangsserver, der abgeschnitten bleibt, nimmt den Zugang von selbst zurück, spätestens zur genannten Zeit.",
			"Repeat the command: it waits again. A gateway that stays cut off takes the access away by itself, at the latest at the time that is named."})
}

func (a *app) sayTaken(t taken) {
	for _, d := range t.devices {
		a.sayState(d)
	}
	if len(t.devices) == 0 {
		a.say(words{"Es gab keinen Laptop.", "There was no laptop."})
	}
	a.sayConfirmations(t.confirmations, len(t.devices) > 0)
}

// sayConfirmations says what each gateway has confirmed.
func (a *app) sayConfirmations(list []*heimdrahtv1.GatewayConfirmation, any bool) {
	for _, c := range list {
		until := timeOf(c.GetGraceUntil())
		switch {
		case c.GetConfirmed():
			a.say(words{"%s hat nach %d ms bestätigt", "%s confirmed after %d ms"}, c.GetGateway(), c.GetAfterMs())
		case until.IsZero():
			a.say(words{"%s hat nicht bestätigt", "%s has not confirmed"}, c.GetGateway())
		default:
			a.say(words{"%s hat nicht bestätigt; abgeschnitten nimmt er den Zugang bis %s zurück", "%s has not confirmed; cut off, it takes the access away by %s"}, c.GetGateway(), a.time(until))
		}
	}
	if any && len(list) == 0 {
		a.say(words{"Kein Zugangsserver hält den Zugang noch offen.", "No gateway holds the access any more."})
	}
}

func (a *app) sayState(d *heimdrahtv1.Device) {
	state := words{"hat Zugang", "has access"}
	switch d.GetState() {
	case heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED:
		state = words{"ruht", "is suspended"}
	case heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED:
		state = words{"hat keinen Zugang mehr", "is revoked"}
	}
	a.say(words{"%s von %s (%s) %s", "%s of %s (%s) %s"}, d.GetName(), d.GetPersonName(), d.GetDeviceId(), state.in(a.language))
}

func confirmationColumns() []column[*heimdrahtv1.GatewayConfirmation] {
	return []column[*heimdrahtv1.GatewayConfirmation]{
		{"gateway", words{}, func(c *heimdrahtv1.GatewayConfirmation) any { return c.GetGateway() }},
		{"confirmed", words{}, func(c *heimdrahtv1.GatewayConfirmation) any { return c.GetConfirmed() }},
		{"after_ms", words{}, func(c *heimdrahtv1.GatewayConfirmation) any {
			if !c.GetConfirmed() {
				return nil
			}
			return c.GetAfterMs()
		}},
		{"grace_until", words{}, func(c *heimdrahtv1.GatewayConfirmation) any { return timeOf(c.GetGraceUntil()) }},
	}
}

func stateOf(d *heimdrahtv1.Device) shown {
	switch d.GetState() {
	case heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE:
		return shown{"active", words{"aktiv", "active"}}
	case heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED:
		if d.GetAwaitsApproval() {
			return shown{"suspended", words{"wartet auf Freigabe", "waits for approval"}}
		}
		return shown{"suspended", words{"ruht", "suspended"}}
	case heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED:
		return shown{"revoked", words{"entzogen", "revoked"}}
	default: // of a newer server
		return shown{"unknown", words{"unbekannt", "unknown"}}
	}
}

// deviceColumns are everything about a device.
func deviceColumns() []column[*heimdrahtv1.Device] {
	return []column[*heimdrahtv1.Device]{
		{"name", words{"Laptop", "laptop"}, func(d *heimdrahtv1.Device) any { return d.GetName() }},
		{"person_name", words{"Person", "person"}, func(d *heimdrahtv1.Device) any { return d.GetPersonName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(d *heimdrahtv1.Device) any { return d.GetTenant() }},
		{"state", words{"Zustand", "state"}, func(d *heimdrahtv1.Device) any { return stateOf(d) }},
		{"awaits_approval", words{}, func(d *heimdrahtv1.Device) any { return d.GetAwaitsApproval() }},
		{"state_reason", words{"Grund", "reason"}, func(d *heimdrahtv1.Device) any { return d.GetStateReason() }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(d *heimdrahtv1.Device) any { return d.GetSerialNumber() }},
		{"platform", words{"System", "platform"}, func(d *heimdrahtv1.Device) any { return d.GetPlatform() }},
		{"agent_version", words{"Version", "version"}, func(d *heimdrahtv1.Device) any { return d.GetAgentVersion() }},
		{"enrolled_at", words{"angemeldet", "enrolled"}, func(d *heimdrahtv1.Device) any { return timeOf(d.GetEnrolledAt()) }},
		{"static_until", words{"fester Zugang bis", "static until"}, func(d *heimdrahtv1.Device) any { return timeOf(d.GetStaticUntil()) }},
		{"certificate_not_after", words{"Zertifikat bis", "certificate until"}, func(d *heimdrahtv1.Device) any { return timeOf(d.GetCertificateNotAfter()) }},
		{"wireguard_public_key", words{"Schlüssel", "public key"}, func(d *heimdrahtv1.Device) any { return d.GetWireguardPublicKey() }},
		{"session_id", words{}, func(d *heimdrahtv1.Device) any { return d.GetSession().GetSessionId() }},
		{"gateway", words{"verbunden über", "connected by"}, func(d *heimdrahtv1.Device) any { return d.GetSession().GetGateway() }},
		{"addresses", words{"Adressen", "addresses"}, func(d *heimdrahtv1.Device) any { return d.GetSession().GetAddresses() }},
		{"conditions", words{"Bedingungen", "conditions"}, func(d *heimdrahtv1.Device) any { return conditionsShown(d) }},
		{"online", words{}, func(d *heimdrahtv1.Device) any { return d.GetSession().GetOnline() }},
		{"person_id", words{"Person-ID", "person id"}, func(d *heimdrahtv1.Device) any { return d.GetPersonId() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(d *heimdrahtv1.Device) any { return d.GetDeviceId() }},
	}
}

// conditionsShown are what the tenant asks of laptops, as this one answered last.
func conditionsShown(d *heimdrahtv1.Device) shown {
	var value, german, english []string
	for _, c := range d.GetConditions() {
		condition, answer := provisioner.Condition(c.GetName()), provisioner.Answer(c.GetAnswer())
		text, de, en := c.GetName()+"="+c.GetAnswer(), condition.In("de")+": "+answer.In("de"), condition.In("en")+": "+answer.In("en")
		if c.GetRefusedFrom() != "" {
			text += "@" + c.GetUnmetSince()
			de, en = de+", keine Verbindung ab "+c.GetRefusedFrom(), en+", no connection from "+c.GetRefusedFrom()
		}
		value, german, english = append(value, text), append(german, de), append(english, en)
	}
	return shown{strings.Join(value, " "), words{strings.Join(german, "; "), strings.Join(english, "; ")}}
}

// deviceListColumns are what tells one person's devices apart.
func deviceListColumns() []column[*heimdrahtv1.Device] {
	return []column[*heimdrahtv1.Device]{
		{"name", words{"Laptop", "laptop"}, func(d *heimdrahtv1.Device) any { return d.GetName() }},
		{"state", words{"Zustand", "state"}, func(d *heimdrahtv1.Device) any { return stateOf(d) }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(d *heimdrahtv1.Device) any { return d.GetSerialNumber() }},
		{"enrolled_at", words{"angemeldet", "enrolled"}, func(d *heimdrahtv1.Device) any { return timeOf(d.GetEnrolledAt()) }},
		{"gateway", words{"verbunden über", "connected by"}, func(d *heimdrahtv1.Device) any { return d.GetSession().GetGateway() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(d *heimdrahtv1.Device) any { return d.GetDeviceId() }},
	}
}
