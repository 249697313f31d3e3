package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type approveCommand struct {
	Code string `arg:"" name:"code" help:"${approve_code}"`
	Deny bool   `help:"${approve_deny}"`
	sure
}

// sure is for programs, which nobody can ask.
type sure struct {
	Yes bool `help:"${yes}"`
}

// Run shows the laptop that waits under a code, and enrols it for who is signed in, or denies it.
func (c *approveCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		found, err := k.appr.GetWaitingLaptop(ctx, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: c.Code})
		if err != nil {
			return err
		}
		laptop := found.GetLaptop()
		question := words{"Ist das Ihr Laptop, und zeigt er denselben Fingerabdruck? Dann wird er für Sie angemeldet. (ja/nein) ",
			"Is this your laptop, and does it show the same fingerprint? Then it is enrolled for you. (yes/no) "}
		if c.Deny {
			question = words{"Diesen Laptop ablehnen? (ja/nein) ", "Deny this laptop? (yes/no) "}
		}
		if err := confirmed(ctx, a, c.sure, "heimdraht approve", waitingColumns(), laptop, question); err != nil {
			return err
		}
		if c.Deny {
			_, err := k.appr.DenyLaptop(ctx, &heimdrahtv1.DenyLaptopRequest{UserCode: laptop.GetUserCode(), Fingerprint: laptop.GetFingerprint()})
			if err != nil {
				return err
			}
			return a.sayDecided(laptop, nil)
		}
		r, err := k.appr.ApproveLaptop(ctx, &heimdrahtv1.ApproveLaptopRequest{UserCode: laptop.GetUserCode(), Fingerprint: laptop.GetFingerprint()})
		if err != nil {
			return err
		}
		return a.sayDecided(laptop, r)
	})
}

// confirmed shows what is to be decided on and asks whether it is to be done. Programs say so beforehand.
func confirmed[T any](ctx context.Context, a *app, s sure, command string, columns []column[T], object T, question words) error {
	if a.form == formTable {
		if err := card(a.printer, columns, object); err != nil {
			return err
		}
	}
	if s.Yes {
		return nil
	}
	answer, err := terminal.Line(ctx, a.world.in, a.printer.err, question.in(a.language))
	switch {
	case errors.Is(err, terminal.ErrNone):
		return usageError{words{"kein Terminal, um zu fragen: benutzen Sie --yes", "no terminal to ask on: use --yes"}.in(a.language), command}
	case err != nil:
		return err
	case slices.Contains([]string{"j", "ja", "y", "yes"}, strings.ToLower(answer)):
		return nil
	}
	return problem(codeNothingDone,
		words{"Es wurde nichts geändert.", "Nothing was changed."},
		words{"Der Laptop wartet weiter. Ablehnen können Sie ihn auch: " + command + " --help.", "The laptop waits on. You can deny it too: " + command + " --help."})
}

func (a *app) sayDecided(laptop *heimdrahtv1.WaitingLaptop, r *heimdrahtv1.ApproveLaptopResponse) error {
	decision := "approved"
	if r == nil {
		decision = "denied"
	}
	if a.form != formTable {
		return card(a.printer, append([]column[*heimdrahtv1.WaitingLaptop]{
			{"decision", words{}, func(*heimdrahtv1.WaitingLaptop) any { return decision }},
			{"device_id", words{}, func(*heimdrahtv1.WaitingLaptop) any { return r.GetDeviceId() }},
			{"person_name", words{}, func(*heimdrahtv1.WaitingLaptop) any { return r.GetPersonName() }},
			{"tenant", words{}, func(*heimdrahtv1.WaitingLaptop) any { return r.GetTenant() }},
			{"replaced", words{}, func(*heimdrahtv1.WaitingLaptop) any { return r.GetReplaced() }},
			{"awaits_approval", words{}, func(*heimdrahtv1.WaitingLaptop) any { return r.GetAwaitsApproval() }},
		}, waitingColumns()...), laptop)
	}
	if r == nil {
		a.say(words{"%s ist abgelehnt. War es nicht Ihr Laptop, sagen Sie es dem Helpdesk: Jemand wollte, dass Sie ihn zulassen.",
			"%s is denied. If it was not your laptop, tell the helpdesk: somebody wanted you to let it in."}, laptop.GetName())
		return nil
	}
	a.say(words{"%s ist für %s angemeldet.", "%s is enrolled for %s."}, laptop.GetName(), r.GetPersonName())
	if r.GetReplaced() {
		a.say(words{"Die frühere Anmeldung dieses Laptops gilt nicht mehr.", "The earlier enrolment of this laptop is void."})
	}
	if r.GetAwaitsApproval() {
		a.say(words{"Der Helpdesk muss ihn noch freigeben; bis dahin verbindet er sich nicht.", "The helpdesk has yet to approve it; until then it does not connect."})
	}
	return nil
}

func waitingColumns() []column[*heimdrahtv1.WaitingLaptop] {
	return []column[*heimdrahtv1.WaitingLaptop]{
		{"name", words{"Laptop", "laptop"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetName() }},
		{"platform", words{"System", "platform"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetPlatform() }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetSerialNumber() }},
		{"fingerprint", words{"Fingerabdruck", "fingerprint"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetFingerprint() }},
		{"source", words{"fragt von", "asks from"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetSource() }},
		{"begun_at", words{"seit", "since"}, func(l *heimdrahtv1.WaitingLaptop) any { return timeOf(l.GetBegunAt()) }},
		{"expires_at", words{"Code gilt bis", "code good until"}, func(l *heimdrahtv1.WaitingLaptop) any { return timeOf(l.GetExpiresAt()) }},
		{"agent_version", words{}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetAgentVersion() }},
		{"user_code", words{"Code", "code"}, func(l *heimdrahtv1.WaitingLaptop) any { return l.GetUserCode() }},
	}
}

type deviceWaitingCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// Run lists the devices that wait for the helpdesk's word.
func (c *deviceWaitingCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.appr.ListAwaitingDevices(ctx, &heimdrahtv1.ListAwaitingDevicesRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if len(r.GetDevices()) == 0 {
			a.hint(words{"Kein Laptop wartet auf eine Freigabe.", "No laptop waits for an approval."})
		}
		columns := awaitingColumns()
		if a.form == formTable {
			columns = columnsNamed(columns, "name", "person_name", "serial_number", "since", "device_id")
		}
		return list(a.printer, "devices", columns, r.GetDevices())
	})
}

func awaitingColumns() []column[*heimdrahtv1.AwaitingDevice] {
	return []column[*heimdrahtv1.AwaitingDevice]{
		{"name", words{"Laptop", "laptop"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetName() }},
		{"person_name", words{"Person", "person"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetPersonName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetTenant() }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetSerialNumber() }},
		{"platform", words{"System", "platform"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetPlatform() }},
		{"fingerprint", words{"Fingerabdruck", "fingerprint"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetFingerprint() }},
		{"generation", words{}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetGeneration() }},
		{"since", words{"wartet seit", "waits since"}, func(d *heimdrahtv1.AwaitingDevice) any { return timeOf(d.GetSince()) }},
		{"person_id", words{"Person-ID", "person id"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetPersonId() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(d *heimdrahtv1.AwaitingDevice) any { return d.GetDevice().GetDeviceId() }},
	}
}

type deviceApproveCommand struct {
	deviceArg
	because
	sure
}

// Run gives a device that waits its access.
func (c *deviceApproveCommand) Run(ctx context.Context, a *app) error {
	question := words{"Diesen Laptop freigeben? (ja/nein) ", "Approve this laptop? (yes/no) "}
	return a.release(ctx, c.deviceArg, c.because, c.sure, "heimdraht device approve", question,
		func(ctx context.Context, k *client, d *heimdrahtv1.AwaitingDevice, reason string) (*heimdrahtv1.Device, error) {
			r, err := k.appr.ApproveDevice(ctx, &heimdrahtv1.ApproveDeviceRequest{
				DeviceId: d.GetDevice().GetDeviceId(), Generation: d.GetGeneration(), Reason: reason,
			})
			return r.GetDevice(), err
		})
}

type deviceDenyCommand struct {
	deviceArg
	because
	sure
}

// Run ends a device that waits for good.
func (c *deviceDenyCommand) Run(ctx context.Context, a *app) error {
	question := words{"Diesen Laptop ablehnen? Seine Schlüssel gelten dann nie mehr. (ja/nein) ", "Deny this laptop? Its keys are dead then. (yes/no) "}
	return a.release(ctx, c.deviceArg, c.because, c.sure, "heimdraht device deny", question,
		func(ctx context.Context, k *client, d *heimdrahtv1.AwaitingDevice, reason string) (*heimdrahtv1.Device, error) {
			r, err := k.appr.DenyDevice(ctx, &heimdrahtv1.DenyDeviceRequest{
				DeviceId: d.GetDevice().GetDeviceId(), Generation: d.GetGeneration(), Reason: reason,
			})
			return r.GetDevice(), err
		})
}

// release shows a device that waits and decides on it as it was shown.
func (a *app) release(ctx context.Context, arg deviceArg, b because, s sure, command string, question words,
	do func(context.Context, *client, *heimdrahtv1.AwaitingDevice, string) (*heimdrahtv1.Device, error),
) error {
	reason, err := b.reason(a, command)
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		waiting, err := k.appr.ListAwaitingDevices(ctx, &heimdrahtv1.ListAwaitingDevicesRequest{})
		if err != nil {
			return err
		}
		// What does not wait is the control plane's to refuse.
		d := &heimdrahtv1.AwaitingDevice{Device: &heimdrahtv1.Device{DeviceId: arg.ID}}
		typed := strings.ToLower(strings.TrimSpace(arg.ID))
		fits := func(v *heimdrahtv1.AwaitingDevice) bool {
			return typed != "" && strings.HasPrefix(v.GetDevice().GetDeviceId(), typed)
		}
		if i := slices.IndexFunc(waiting.GetDevices(), fits); i >= 0 && !slices.ContainsFunc(waiting.GetDevices()[i+1:], fits) {
			d = waiting.GetDevices()[i]
			if err := confirmed(ctx, a, s, command, awaitingColumns(), d, question); err != nil {
				return err
			}
		}
		device, err := do(ctx, k, d, reason)
		if err != nil {
			return err
		}
		device.PersonName = d.GetDevice().GetPersonName()
		if a.form == formTable {
			a.sayState(device)
			return nil
		}
		return card(a.printer, deviceColumns(), device)
	})
}
