package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/factor"
)

// step does something and says in a few words what came of it.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

func (d *demo) steps() []step {
	return []step{
		{"directory up", d.startDirectory},
		{"control plane up", d.startControlPlane},
		{"tenant, licences and gateway declared", d.declare},
		{"gateway joined", d.joinGateway},
		{"laptop enrolled", d.enrol},
		{"session open", d.open},
		{"page fetched through the tunnel", d.fetch},
		{"seat counted", d.count(1)},
		{"wrong password refused", d.refuse("eva", "rathaus-2027", "sign-in-failed")},
		{"person outside the group refused", d.refuse("max", "Bauhof-2027", "not-in-group")},
		{"helpdesk signed in, by password and phone", d.signInHelpdesk},
		{"device revoked", d.revoke},
		{"the same page unreachable", d.unreachable},
		{"seat free again", d.count(0)},
		{"new session refused", d.refused},
	}
}

func (d *demo) signInOperator(ctx context.Context, token string) error {
	a, err := d.address()
	if err != nil {
		return err
	}
	d.operator, err = control.Connect(ctx, control.Options{
		Servers: []control.Server{a.Server}, Trust: control.Trust{Pin: a.Pin}, Agent: "heimdraht-demo", Language: "en", Logger: d.log,
	})
	if err != nil {
		return err
	}
	answer, err := heimdrahtv1.NewAuthServiceClient(d.operator).RedeemToken(ctx, &heimdrahtv1.RedeemTokenRequest{Token: token})
	d.token = answer.GetToken().GetToken()
	return control.FromStatus(err)
}

// as makes calls in the name of whom a token stands for.
func as(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func (d *demo) declare(ctx context.Context) (string, error) {
	socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free UDP port: %w", err)
	}
	d.udp = netip.MustParseAddrPort(socket.LocalAddr().String())
	if err := socket.Close(); err != nil {
		return "", err
	}
	answer, err := heimdrahtv1.NewAdminServiceClient(d.operator).Apply(as(ctx, d.token), &heimdrahtv1.ApplyRequest{
		Reason: "demo",
		Declaration: &heimdrahtv1.Declaration{
			Directories: []*heimdrahtv1.DirectoryDeclaration{{
				Name: "stadt-ldap", Servers: []string{d.ldap.url}, CaPem: d.ldap.ca, BindDn: serviceDN,
				BindPasswordFile: filepath.Join(d.dir, "ldap.pw"), Base: peopleIn,
			}},
			Tenants: []*heimdrahtv1.TenantDeclaration{{
				Name: tenant, DisplayName: "Stadt Beispiel", Land: "HE", Directory: "stadt-ldap", MailDomains: []string{"stadt.example"},
				StaffGroup: "cn=Homeoffice," + groupsIn,
				Roles:      &heimdrahtv1.Roles{Helpdesk: "cn=Helpdesk," + groupsIn, Planner: "cn=Planung," + groupsIn},
				Policy:     &heimdrahtv1.Policy{DevicesPerPerson: 2, Tunnel: "split"},
				Networks:   []*heimdrahtv1.NetworkGrant{{Group: "all", Allow: []string{"10.1.0.0/16"}}},
			}},
			LicencePools: []*heimdrahtv1.LicencePoolDeclaration{{
				Name: "vpn", Model: "concurrent",
				Contracts: []*heimdrahtv1.ContractDeclaration{{Reference: "R-4711", Seats: seats, NetCents: 1850, Period: "year"}},
				Tenants:   []*heimdrahtv1.PoolShare{{Tenant: tenant}},
			}},
			Gateways: []*heimdrahtv1.GatewayDeclaration{{
				Name: gatewayName, Endpoint: d.udp.String(), Sessions: 100,
				AggregateV4: "10.80.0.0/16", AggregateV6: "fd80:1::/48", Tenants: []string{tenant},
			}},
		},
	})
	return fmt.Sprintf("%d objects", len(answer.GetDifferences())), control.FromStatus(err)
}

func (d *demo) joinGateway(ctx context.Context) (string, error) {
	token, err := heimdrahtv1.NewAdminServiceClient(d.operator).CreateGatewayToken(as(ctx, d.token),
		&heimdrahtv1.CreateGatewayTokenRequest{Gateway: gatewayName})
	if err != nil {
		return "", control.FromStatus(err)
	}
	a, err := d.address()
	if err != nil {
		return "", err
	}
	dir, err := state.Open(filepath.Join(d.dir, "gateway"))
	if err != nil {
		return "", err
	}
	if _, err := gateway.Join(ctx, gateway.JoinOptions{Address: a, Token: token.GetToken(), State: dir, Version: "demo", Language: "en"}); err != nil {
		return "", errors.Join(err, dir.Close())
	}
	open := gateway.Netstack{
		Listen: d.udp.Addr(), Addresses: []netip.Addr{intranet().Addr()},
		Opened: func(device *wireguard.Device) { d.device <- device },
	}
	g, err := gateway.New(gateway.Options{
		State: dir, Open: open.Open, Version: "demo", Logger: d.log.With("part", "gateway"),
	})
	if err != nil {
		return "", errors.Join(err, dir.Close())
	}
	d.start("gateway", func(ctx context.Context) error { return errors.Join(g.Run(ctx), dir.Close()) })
	select {
	case d.gate = <-d.device:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := d.serveIntranet(); err != nil {
		return "", err
	}
	return fmt.Sprintf("WireGuard on %s, an intranet page at http://%s/ behind it", d.udp, intranet().Addr()), nil
}

const page = "Guten Morgen aus dem Rathaus"

func (d *demo) serveIntranet() error {
	l, err := d.gate.Net().ListenTCP(intranet())
	if err != nil {
		return fmt.Errorf("opening the intranet page: %w", err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page+"\n") }),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	d.start("intranet page", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		return server.Serve(l)
	})
	return nil
}

// newLaptop makes a laptop that keeps everything in memory.
func (d *demo) newLaptop() (*endpoint.Endpoint, error) {
	return endpoint.New(endpoint.Options{
		Store: new(control.MemoryStore), Tenant: tenant,
		Device:     wireguard.Options{Mode: wireguard.Netstack},
		DeviceName: "demo-laptop", SerialNumber: "DEMO-1", Platform: "linux", Version: "demo", Language: "en",
		Logger: d.log.With("part", "laptop"),
	})
}

func (d *demo) enrolAs(ctx context.Context, laptop *endpoint.Endpoint, login, password string) (endpoint.Enrolled, error) {
	return laptop.Enrol(ctx, endpoint.EnrolRequest{
		Address: d.plane.Address() + "#" + d.plane.Fingerprint(), Tenant: tenant, Login: login, Password: password,
	})
}

// refuse tries to enrol and expects a refusal with a code.
func (d *demo) refuse(login, password, code string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		laptop, err := d.newLaptop()
		if err != nil {
			return "", err
		}
		_, err = d.enrolAs(ctx, laptop, login, password)
		return expect(err, code)
	}
}

func expect(err error, code string) (string, error) {
	p, ok := control.AsProblem(err)
	if !ok || p.Code != code {
		return "", fmt.Errorf("expected the refusal %q, got: %w", code, err)
	}
	return p.Code + ": " + p.Text("en").Sentence, nil
}

func (d *demo) enrol(ctx context.Context) (string, error) {
	laptop, err := d.newLaptop()
	if err != nil {
		return "", err
	}
	d.laptop = laptop
	d.start("laptop", laptop.Run)
	if d.enrolled, err = d.enrolAs(ctx, laptop, "eva", "Rathaus-2027"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, device %s", d.enrolled.Person, d.enrolled.DeviceID[:8]), nil
}

func (d *demo) open(ctx context.Context) (string, error) {
	if err := d.laptop.Up(ctx); err != nil {
		return "", err
	}
	s := d.laptop.Status("en")
	return fmt.Sprintf("on %s with %v", s.Gateway, s.Addresses), nil
}

// get asks for the intranet page through the laptop's tunnel.
func (d *demo) get(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: d.laptop.DialContext, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+intranet().String()+"/", nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	return strings.TrimSpace(line), errors.Join(err, response.Body.Close())
}

func (d *demo) fetch(ctx context.Context) (string, error) {
	got, err := d.get(ctx)
	if err == nil && got != page {
		err = fmt.Errorf("the page says %q", got)
	}
	return fmt.Sprintf("%q", got), err
}

func (d *demo) count(want int64) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		answer, err := heimdrahtv1.NewCapacityServiceClient(d.operator).GetConcurrency(as(ctx, d.token), &heimdrahtv1.GetConcurrencyRequest{})
		if err != nil {
			return "", control.FromStatus(err)
		}
		for _, p := range answer.GetPools() {
			if held := p.GetHeld().GetValue(); p.GetPool() == "vpn" && held != want {
				return "", fmt.Errorf("%d seats are held, not %d", held, want)
			}
		}
		return fmt.Sprintf("%d of %d", want, seats), nil
	}
}

// signInHelpdesk sets up the helpdesk's second factor, as her phone would.
func (d *demo) signInHelpdesk(ctx context.Context) (string, error) {
	const login, password = "hilde", "Helpdesk-2027"
	desk, auth := heimdrahtv1.NewHelpdeskServiceClient(d.operator), heimdrahtv1.NewAuthServiceClient(d.operator)
	found, err := desk.FindPeople(as(ctx, d.token), &heimdrahtv1.FindPeopleRequest{Query: login})
	if err != nil {
		return "", control.FromStatus(err)
	}
	if n := len(found.GetPeople()); n != 1 {
		return "", fmt.Errorf("the operator finds %d people called %s", n, login)
	}
	once, err := desk.IssueFactorToken(as(ctx, d.token), &heimdrahtv1.IssueFactorTokenRequest{PersonId: found.GetPeople()[0].GetPersonId()})
	if err != nil {
		return "", control.FromStatus(err)
	}
	begun, err := auth.BeginFactor(ctx, &heimdrahtv1.BeginFactorRequest{Tenant: tenant, Login: login, Password: password, Token: once.GetToken()})
	if err != nil {
		return "", control.FromStatus(err)
	}
	code, err := factor.Code(begun.GetSecret(), time.Now())
	if err != nil {
		return "", err
	}
	in, err := auth.ConfirmFactor(ctx, &heimdrahtv1.ConfirmFactorRequest{Tenant: tenant, Login: login, Password: password, Token: once.GetToken(), Code: code})
	if err != nil {
		return "", control.FromStatus(err)
	}
	d.desk, d.codes = in.GetToken().GetToken(), in.GetRecoveryCodes()
	return fmt.Sprintf("%s, %d recovery codes", in.GetDisplayName(), len(d.codes)), nil
}

// revoke lets the helpdesk find the person and revoke her laptop.
func (d *demo) revoke(ctx context.Context) (string, error) {
	ctx = as(ctx, d.desk)
	desk := heimdrahtv1.NewHelpdeskServiceClient(d.operator)
	found, err := desk.FindPeople(ctx, &heimdrahtv1.FindPeopleRequest{Query: "MUELLER"})
	if err != nil {
		return "", control.FromStatus(err)
	}
	if n := len(found.GetPeople()); n != 1 {
		return "", fmt.Errorf("the helpdesk finds %d people called Müller", n)
	}
	answer, err := desk.RevokeDevice(ctx, &heimdrahtv1.RevokeDeviceRequest{DeviceId: d.enrolled.DeviceID, Reason: "laptop reported stolen"})
	if err != nil {
		return "", control.FromStatus(err)
	}
	if len(answer.GetConfirmations()) != 1 || !answer.GetConfirmations()[0].GetConfirmed() {
		return "", fmt.Errorf("the gateway has not confirmed: %v", answer.GetConfirmations())
	}
	c := answer.GetConfirmations()[0]
	return fmt.Sprintf("%s confirmed after %d ms", c.GetGateway(), c.GetAfterMs()), nil
}

func (d *demo) unreachable(ctx context.Context) (string, error) {
	peers, err := d.gate.Peers(ctx)
	if err != nil {
		return "", err
	}
	if len(peers) != 0 {
		return "", fmt.Errorf("the gateway still holds %d peers", len(peers))
	}
	if got, err := d.get(ctx); err == nil {
		return "", fmt.Errorf("the page still says %q", got)
	}
	return "no answer, and the gateway holds no peer", nil
}

func (d *demo) refused(ctx context.Context) (string, error) {
	return expect(d.laptop.Up(ctx), "device-revoked")
}

// invite shows what to try while everything stays up.
func (d *demo) invite(w io.Writer) {
	server := d.plane.Address() + "#" + d.plane.Fingerprint()
	fmt.Fprintf(w, `
Everything stays up until Ctrl-C. Try it in other terminals, in this directory.

A laptop of your own, without root. Let its service run in a terminal of its own:

  go run ./cmd/heimdraht-agent run --userspace-proxy 127.0.0.1:1080 --state %[2]s --socket %[2]s.sock

and, once it says that it runs, enrol it as Eva (her password is Rathaus-2027) and connect:

  go run ./cmd/heimdraht-agent enrol %[1]s --tenant stadt --login eva --socket %[2]s.sock
  go run ./cmd/heimdraht-agent up --socket %[2]s.sock
  curl --proxy socks5h://127.0.0.1:1080 http://%[3]s/

The helpdesk (Hilde's password is Helpdesk-2027; in the place of a code from her phone use, once, %[4]s),
who can take Eva's laptop away again:

  go run ./cmd/heimdraht login %[1]s --tenant stadt --login hilde
  go run ./cmd/heimdraht find mueller
  go run ./cmd/heimdraht sessions
  go run ./cmd/heimdraht device revoke DEVICE-ID --reason 'Laptop lost'

At the end: Ctrl-C in both terminals, and rm -r %[2]s.
`, server, "/tmp/heimdraht-laptop", intranet().Addr(), d.codes[0])
}
