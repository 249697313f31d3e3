package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const staticCommand = "heimdraht device static"

type deviceStaticCommand struct {
	Person  string `arg:"" optional:"" name:"person-id" help:"${person_id}"`
	Replace string `placeholder:"DEVICE-ID" xor:"what" help:"${static_replace}"`
	List    bool   `xor:"what" help:"${static_list}"`

	Until      string `placeholder:"2027-06-30" help:"${static_until}"`
	Name       string `placeholder:"TEXT" help:"${static_name}"`
	Gateway    string `placeholder:"NAME" help:"${static_gateway}"`
	Tenant     string `placeholder:"NAME" help:"${person_tenant}"`
	Reason     string `placeholder:"TEXT" help:"${reason}"`
	ConfigFile string `placeholder:"FILE" help:"${static_config_file}"`
	QRFile     string `name:"qr-file" placeholder:"FILE" help:"${static_qr_file}"`
}

// Run makes a static peer, with a key that is made here and kept nowhere; or lists
// those that there are.
func (c *deviceStaticCommand) Run(ctx context.Context, a *app) error {
	if c.List {
		if c.Person != "" {
			return c.usage(a, words{"--list nimmt keine Person", "--list takes no person"})
		}
		return c.list(ctx, a)
	}
	request, err := c.request(a)
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error { return c.make(ctx, a, k, request) })
}

func (c *deviceStaticCommand) usage(a *app, w words) error {
	return usageError{w.in(a.language), staticCommand}
}

// request reads the command line. The key is made later.
func (c *deviceStaticCommand) request(a *app) (*heimdrahtv1.MakeStaticDeviceRequest, error) {
	if (c.Person == "") == (c.Replace == "") {
		return nil, c.usage(a, words{"für wen? Nennen Sie eine Person-ID, oder mit --replace ein Gerät", "for whom? Name a person id, or a device with --replace"})
	}
	reason, err := because{c.Reason}.reason(a, staticCommand)
	if err != nil {
		return nil, err
	}
	r := &heimdrahtv1.MakeStaticDeviceRequest{
		PersonId: c.Person, Tenant: c.Tenant, DeviceId: c.Replace, DeviceName: c.Name, Gateway: c.Gateway, Reason: reason,
	}
	if c.Until == "" && c.Replace == "" {
		return nil, c.usage(a, words{"--until fehlt: der letzte Tag, höchstens ein Jahr", "--until is missing: the last day, at most a year away"})
	}
	if c.Until != "" {
		last, err := time.ParseInLocation(time.DateOnly, c.Until, time.Local)
		if err != nil {
			return nil, c.usage(a, words{"--until ist ein Tag wie 2027-06-30", "--until is a day like 2027-06-30"})
		}
		r.Until = timestamppb.New(last.AddDate(0, 0, 1)) // that day belongs to it
	}
	if c.ConfigFile == "" && c.QRFile == "" && (a.form != formTable || !term.IsTerminal(int(a.world.out.Fd()))) {
		return nil, c.usage(a, words{"der QR-Code geht nur auf ein Terminal; sonst --config-file oder --qr-file", "the QR code goes to a terminal only; else --config-file or --qr-file"})
	}
	for _, file := range []string{c.ConfigFile, c.QRFile} {
		if file == "" {
			continue
		}
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			// What is in it may be the only copy of another key.
			return nil, c.usage(a, words{"die Datei gibt es schon: " + file, "the file is there already: " + file})
		}
	}
	return r, nil
}

// make has the files begun before it asks: where they cannot be written, nothing is
// made.
func (c *deviceStaticCommand) make(ctx context.Context, a *app, k *client, r *heimdrahtv1.MakeStaticDeviceRequest) error {
	private, err := wireguard.GeneratePrivateKey()
	if err != nil {
		return err
	}
	public := private.PublicKey()
	r.WireguardPublicKey = public[:]
	var made *heimdrahtv1.MakeStaticDeviceResponse
	var text string
	ask := func() (err error) {
		if made, err = k.static.MakeStaticDevice(ctx, r); err != nil {
			return err
		}
		remark := fmt.Sprintf("Heimdraht %s, %s", made.GetDevice().GetDevice().GetDeviceId(), timeOf(made.GetDevice().GetUntil()).UTC().Format(time.RFC3339))
		text, err = wgQuick(private, remark, made.GetConfiguration())
		return err
	}
	err = into(c.ConfigFile, func(config io.Writer) error {
		return into(c.QRFile, func(qr io.Writer) error {
			if err := ask(); err != nil {
				return err
			}
			if c.ConfigFile != "" {
				if _, err := io.WriteString(config, text); err != nil {
					return err
				}
			}
			if c.QRFile != "" {
				return writeQR(qr, text)
			}
			return nil
		})
	})
	if err != nil && made != nil {
		return c.unwritten(a, made, err)
	}
	if err != nil {
		return err
	}
	return c.show(a, made, text)
}

// into writes a file whole; without a name it writes nothing.
func into(file string, fill func(io.Writer) error) error {
	if file == "" {
		return fill(io.Discard)
	}
	return writeWhole(file, fill)
}

// unwritten says what to do about a device whose key is lost already.
func (c *deviceStaticCommand) unwritten(a *app, made *heimdrahtv1.MakeStaticDeviceResponse, err error) error {
	id := made.GetDevice().GetDevice().GetDeviceId()
	a.fail(err)
	return problem(codeFailed,
		words{"Das Gerät " + id + " ist angelegt, aber seine Konfiguration ist verloren.", "The device " + id + " was made, but its configuration is lost."},
		words{"Machen Sie eine neue: " + staticCommand + " --replace " + id, "Make a new one: " + staticCommand + " --replace " + id})
}

func (c *deviceStaticCommand) show(a *app, made *heimdrahtv1.MakeStaticDeviceResponse, text string) error {
	if a.form != formTable {
		return card(a.printer, staticColumns(), made.GetDevice())
	}
	if c.ConfigFile == "" && c.QRFile == "" {
		picture, err := terminal.QRCode(text)
		if err != nil {
			return c.unwritten(a, made, err)
		}
		a.say(words{"Fotografieren Sie das mit der WireGuard-App. Es wird nur jetzt gezeigt und nirgends aufgehoben:",
			"Photograph this with the WireGuard app. It is shown only now, and kept nowhere:"})
		fmt.Fprint(a.world.out, picture)
	}
	d := made.GetDevice()
	a.say(words{"%s von %s (%s) hat Zugang über %s bis %s", "%s of %s (%s) has access through %s until %s"},
		d.GetDevice().GetName(), d.GetDevice().GetPersonName(), d.GetDevice().GetDeviceId(), d.GetGateway(), a.time(timeOf(d.GetUntil())))
	if slices.ContainsFunc(made.GetConfirmations(), func(c *heimdrahtv1.GatewayConfirmation) bool { return !c.GetConfirmed() }) {
		a.hint(words{"%s hat noch nicht bestätigt; der Zugang geht, sobald er wieder zu hören ist.", "%s has not confirmed yet; access works as soon as it is heard again."}, d.GetGateway())
	}
	return nil
}

func (c *deviceStaticCommand) list(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var devices []*heimdrahtv1.StaticDevice
		for page := ""; ; {
			r, err := k.static.ListStaticDevices(ctx, &heimdrahtv1.ListStaticDevicesRequest{Tenant: c.Tenant, Limit: 1000, PageToken: page})
			if err != nil {
				return err
			}
			devices = append(devices, r.GetDevices()...)
			if page = r.GetNextPageToken(); page == "" {
				break
			}
		}
		if len(devices) == 0 {
			a.hint(words{"Es gibt keine festen Zugänge.", "There are no static devices."})
		}
		slices.SortStableFunc(devices, func(x, y *heimdrahtv1.StaticDevice) int { return timeOf(x.GetUntil()).Compare(timeOf(y.GetUntil())) })
		return list(a.printer, "devices", staticColumns(), devices)
	})
}

func staticColumns() []column[*heimdrahtv1.StaticDevice] {
	return []column[*heimdrahtv1.StaticDevice]{
		{"name", words{"Gerät", "device"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetName() }},
		{"person_name", words{"Person", "person"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetPersonName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetTenant() }},
		{"state", words{"Zustand", "state"}, func(d *heimdrahtv1.StaticDevice) any { return stateOf(d.GetDevice()) }},
		{"until", words{"bis", "until"}, func(d *heimdrahtv1.StaticDevice) any { return timeOf(d.GetUntil()) }},
		{"gateway", words{"über", "through"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetGateway() }},
		{"last_handshake", words{}, func(d *heimdrahtv1.StaticDevice) any { return timeOf(d.GetLastHandshake()) }},
		{"needs_file", words{"neue Datei nötig", "needs a new file"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetNeedsFile() }},
		{"wireguard_public_key", words{}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetWireguardPublicKey() }},
		{"person_id", words{}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetPersonId() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(d *heimdrahtv1.StaticDevice) any { return d.GetDevice().GetDeviceId() }},
	}
}
