package enrolment_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/ca"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

const (
	password = "Rathaus-2027"
	root     = "dc=stadt,dc=example"
	people   = "ou=people," + root
	staff    = "cn=homeoffice," + root
	village  = "cn=dorf," + root
)

// world is a control plane with two tenants on one directory.
type world struct {
	*enrolment.Service
	store     *store.Store
	directory *memory.Directory
	waits     *waits
	looked    func() // called when the directory was asked about somebody
}

// asked is the directory, which tells the world when it was asked.
type asked struct {
	*memory.Directory
	world *world
}

func (a asked) Lookup(ctx context.Context, base, id string, groups []string) (directory.Person, error) {
	p, err := a.Directory.Lookup(ctx, base, id, groups)
	a.world.looked()
	return p, err
}

// waits is the edge to the gateways: it remembers what was waited for.
type waits struct {
	debts    []store.Debt
	patience time.Duration
}

func (w *waits) Wait(ctx context.Context, _ string, debts []store.Debt) []provisioner.Confirmation {
	w.debts = debts
	if end, ok := ctx.Deadline(); ok {
		w.patience = time.Until(end)
	}
	var list []provisioner.Confirmation
	for _, d := range debts {
		list = append(list, provisioner.Confirmation{Gateway: d.Gateway, Confirmed: true, After: time.Millisecond})
	}
	return list
}

// authority issues as the control plane does.
type authority struct{ *ca.Authority }

func (a authority) Issue(request []byte, h provisioner.Holder, now time.Time) (provisioner.Certificate, error) {
	kind := ca.KindDevice
	if h.Role == provisioner.RoleGateway {
		kind = ca.KindGateway
	}
	c, err := a.IssueClient(request, ca.Identity{Kind: kind, Tenant: h.Tenant, ID: h.ID, Generation: h.Generation}, now)
	if errors.Is(err, ca.ErrRequest) {
		return provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeCSRInvalid).Because(err)
	}
	return provisioner.Certificate{Leaf: c.DER, Authorities: [][]byte{a.Certificate().Raw}, NotAfter: c.NotAfter, RenewAt: c.RenewAt}, err
}

func (authority) Check(request []byte) error {
	if err := ca.CheckRequest(request); err != nil {
		return provisioner.Refuse(provisioner.CodeCSRInvalid).Because(err)
	}
	return nil
}

func ldif() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: domain\ndc: stadt\n\ndn: %s\nobjectClass: organizationalUnit\nou: people\n\n", root, people)
	for _, login := range []string{"eva", "emil", "max", "uta", "vera"} {
		fmt.Fprintf(&b, "dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nmail: %s@stadt.example\nuserPassword: %s\n\n",
			login, people, login, login, login, login, password)
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: homeoffice\nmember: uid=eva,%s\nmember: uid=emil,%s\nmember: uid=uta,%s\n\n", staff, people, people, people)
	fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: dorf\nmember: uid=vera,%s\nmember: uid=emil,%s\n\n", village, people, people)
	return b.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(context.Background(), store.Options{Database: storetest.SQLite(t).Database, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := memory.New(memory.Options{Name: "ldap", Base: people, LDIF: []byte(ldif())})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: s, directory: d, waits: new(waits), looked: func() {}}
	signIn := signin.New(signin.Options{Store: s, Logger: log, Directories: signin.NewRegistry(
		func(provisioner.Directory) (directory.Directory, error) { return asked{d, w}, nil })})
	a, err := ca.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Service = enrolment.New(enrolment.Options{Store: s, SignIn: signIn, Certificates: authority{a}, Confirmations: w.waits, Logger: log})
	update(t, s, func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ldap", Servers: []string{"ldaps://ldap.stadt.example"}, Base: people}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ldap", StaffGroup: staff, Policy: provisioner.DefaultPolicy()}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ldap", StaffGroup: village, Policy: provisioner.DefaultPolicy()}),
			tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 10}},
				Shares: []provisioner.PoolShare{{Tenant: "stadt"}, {Tenant: "dorf"}},
			}),
			tx.PutGateway(provisioner.Gateway{
				Name: "gw1", Endpoint: "vpn1.stadt.example:51820", Sessions: 10, AggregateV4: aggregate().V4, Tenants: []string{"stadt", "dorf"},
			}),
		)
	})
	return w
}

func aggregate() address.Aggregate {
	return address.Aggregate{V4: netip.MustParsePrefix("10.80.0.0/16")}
}

func update(t testing.TB, s *store.Store, do func(*store.Writer) error) {
	t.Helper()
	if err := s.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func read[T any](t testing.TB, w *world, read func(*store.Reader) (T, error)) T {
	t.Helper()
	v, err := store.Read(context.Background(), w.store, read)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) device(t testing.TB, id string) provisioner.Device {
	t.Helper()
	return read(t, w, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(id) })
}

func (w *world) session(t testing.TB, id string) provisioner.Session {
	t.Helper()
	return read(t, w, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(id) })
}

func (w *world) revision(t testing.TB) int64 {
	t.Helper()
	return read(t, w, (*store.Reader).Position).Revision
}

// events are what the audit log holds, one payload each.
func (w *world) events(t testing.TB) []string {
	t.Helper()
	var lines []string
	for _, r := range read(t, w, func(tx *store.Reader) ([]store.AuditRecord, error) {
		return tx.FindAudit(store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 1_000_000})
	}) {
		lines = append(lines, string(r.Payload))
	}
	slices.Reverse(lines)
	return lines
}

// opens opens a session for a device.
func (w *world) opens(t testing.TB, d provisioner.Device) provisioner.Session {
	t.Helper()
	s := provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: "gw1", Pool: "vpn", KeyVersion: 1,
		PublicKey: d.PublicKey, OpenedAt: time.Now(), RenewedAt: time.Now(), LeaseUntil: time.Now().Add(provisioner.Lease),
	}
	update(t, w.store, func(tx *store.Writer) (err error) {
		if s.AddressIndex, err = tx.TakeAddress("gw1", d.Tenant, d.ID, aggregate()); err != nil {
			return err
		}
		return errors.Join(tx.TakeSeat("vpn", d.Tenant, provisioner.PriorityOrdinary), tx.OpenSession(&s))
	})
	return s
}

func newKey(t testing.TB) []byte {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.PublicKey().Bytes()
}

func csr(t testing.TB) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// request is a good one for somebody's laptop.
func request(t testing.TB, tenant, login, serial string) enrolment.EnrolRequest {
	t.Helper()
	return enrolment.EnrolRequest{
		Credentials: signin.Credentials{Tenant: tenant, Login: login, Password: password},
		Laptop: enrolment.Laptop{
			CertificateRequest: csr(t), PublicKey: newKey(t), DeviceName: "laptop-" + login, SerialNumber: serial, Platform: "linux", AgentVersion: "1.0",
		},
	}
}

func anybody() provisioner.Actor { return provisioner.Actor{Source: "192.0.2.1", Language: "en"} }

func (w *world) enrols(t testing.TB, tenant, login, serial string) provisioner.Device {
	t.Helper()
	e, err := w.Enrol(context.Background(), anybody(), request(t, tenant, login, serial))
	if err != nil {
		t.Fatal(err)
	}
	return e.Device
}

// as is somebody with a role in a tenant.
func as(role provisioner.Role, tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "id-of-" + string(role), Name: string(role), Grants: []provisioner.Grant{{Role: role, Tenant: tenant}}, Source: "192.0.2.9", Language: "en"}
}

// laptop is a device by its certificate.
func laptop(d provisioner.Device) provisioner.Actor {
	a := as(provisioner.RoleDevice, d.Tenant)
	a.ID, a.Generation = d.ID, d.Generation
	return a
}

func codeOf(err error) provisioner.Code {
	if r, ok := provisioner.AsRefusal(err); ok {
		return r.Code
	}
	if err != nil {
		return provisioner.Code("fault: " + err.Error())
	}
	return ""
}
