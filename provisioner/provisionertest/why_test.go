package provisionertest_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// scene is a control plane with Eva, of whom the helpdesk asks why her connection
// does not work.
type scene struct {
	*provisionertest.Server

	t       *testing.T
	gateway *provisionertest.Gateway
	ask     *heimdrahtv1.ExplainRequest
	laptop  provisionertest.Laptop // that asks for herself; without an id: none does
}

const (
	eva             = provisionertest.Staff
	reasonOfTheDesk = "parental leave"
)

// enrolled is her laptop.
func (s *scene) enrolled() provisionertest.Laptop {
	s.laptop = s.Enrol(eva, "SN1")
	s.ask = &heimdrahtv1.ExplainRequest{DeviceId: s.laptop.ID}
	return s.laptop
}

// opened is a session of a laptop, with the stream that holds it.
func (s *scene) opened(l provisionertest.Laptop) (heimdrahtv1.SessionService_AttachClient, string) {
	s.t.Helper()
	stream := s.Attach(s.t.Context(), l)
	answer, err := provisionertest.Open(stream, "")
	if err != nil || answer.GetOpened() == nil {
		s.t.Fatal("opening: ", answer, err)
	}
	return stream, answer.GetOpened().GetSessionId()
}

// refused opens in vain.
func (s *scene) refused(l provisionertest.Laptop) {
	s.t.Helper()
	answer, err := provisionertest.Open(s.Attach(s.t.Context(), l), "")
	if err == nil && answer.GetOpened() != nil {
		s.t.Fatal("a session was opened")
	}
}

// renews tells what the laptop has to say.
func (s *scene) renews(stream heimdrahtv1.SessionService_AttachClient, r *heimdrahtv1.RenewSession) {
	s.t.Helper()
	if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: r}}); err != nil {
		s.t.Fatal("renewing: ", err)
	}
	if answer, err := stream.Recv(); err != nil || answer.GetRenewed() == nil {
		s.t.Fatal("renewing: ", answer, err)
	}
}

// connected is a laptop whose tunnel works.
func (s *scene) connected() (heimdrahtv1.SessionService_AttachClient, string) {
	s.t.Helper()
	stream, id := s.opened(s.enrolled())
	s.renews(stream, alive(id))
	return stream, id
}

func alive(session string) *heimdrahtv1.RenewSession {
	age := int64(1000)
	return &heimdrahtv1.RenewSession{
		SessionId: session, Usage: &heimdrahtv1.Usage{LastHandshakeAgeMs: &age, ReceivedBytes: 2000, SentBytes: 2000}, Clock: timestamppb.Now(),
	}
}

// signsIn tries to enrol one more laptop.
func (s *scene) signsIn(login, password string) {
	s.t.Helper()
	if _, err := provisionertest.TryEnrolWith(s.t.Context(), s.Dial(nil), provisionertest.NewLaptop(s.t), login, password, "SN9"); err == nil {
		s.t.Fatal("she was let in")
	}
}

// write changes the database as a control plane does that has lived through more
// than a test can.
func (s *scene) write(do func(*store.Writer) error) {
	s.t.Helper()
	db, err := store.Open(context.Background(), store.Options{Database: s.Config.Database, SchemaAsIs: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // everything is written
	if err := db.Update(context.Background(), do); err != nil {
		s.t.Fatal(err)
	}
}

// suspends her devices in the helpdesk's name.
func (s *scene) suspends(until *timestamppb.Timestamp) {
	s.t.Helper()
	l := s.enrolled()
	desk, ctx := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(s.t.Context(), s.Operator)
	d, err := desk.GetDevice(ctx, &heimdrahtv1.GetDeviceRequest{DeviceId: l.ID})
	if err == nil {
		_, err = desk.Take(ctx, &heimdrahtv1.TakeRequest{
			Action: heimdrahtv1.TakeAction_TAKE_ACTION_SUSPEND, Tenant: provisionertest.Tenant, PersonId: d.GetDevice().GetPersonId(),
			Reason: reasonOfTheDesk, EndsAt: until,
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// suspendsAll lets the access of the whole tenant rest.
func (s *scene) suspendsAll() {
	s.t.Helper()
	_, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).Take(provisionertest.As(s.t.Context(), s.Operator), &heimdrahtv1.TakeRequest{
		Action: heimdrahtv1.TakeAction_TAKE_ACTION_SUSPEND, Tenant: provisionertest.Tenant, Reason: "broken into",
	})
	must(s.t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silent waits until a gateway must have answered a laptop that has just opened.
func silent() { time.Sleep(5500 * time.Millisecond) } // real: a handshake may take so long

// faultOf is one thing that is wrong, and the cause that the helpdesk is to be told,
// and in the same code the person at her laptop.
type faultOf struct {
	name    string
	options provisionertest.Options
	declare func(*heimdrahtv1.Declaration)
	inject  func(*scene)
	cause   string
	own     string // what she is told; empty: the same
}

func faultsOfTheControlPlane() []faultOf {
	password := func(policy string) func(*heimdrahtv1.Declaration) {
		return func(d *heimdrahtv1.Declaration) {
			d.Tenants[0].Policy.PasswordExpired = policy
			if policy == "password_only" {
				d.Tenants[0].Policy.PasswordHosts = []string{"10.1.0.10/32:443"}
			}
		}
	}
	expired := func(s *scene) {
		s.enrolled()
		must(s.t, s.Directory.Set(provisionertest.DN(eva), "pwdReset", "TRUE"))
	}
	return []faultOf{
		{name: "nothing is wrong", cause: "connected", inject: func(s *scene) { s.connected() }},
		{name: "never enrolled", cause: "no-device", inject: func(*scene) {}},
		{name: "enrolled, and the laptop is off", cause: "laptop-off", inject: func(s *scene) { s.enrolled() }},

		{
			name: "account disabled", options: provisionertest.Options{Flavour: directory.Univention}, cause: "account-disabled",
			inject: func(s *scene) {
				s.enrolled()
				must(s.t, s.Directory.Set(provisionertest.DN(eva), "sambaAcctFlags", "[UD]"))
			},
		},
		{name: "account deleted", cause: "account-deleted", inject: func(s *scene) { s.connected(); must(s.t, s.Directory.Delete(provisionertest.DN(eva))) }},
		{name: "account expired", cause: "account-expired", inject: func(s *scene) { s.enrolled(); must(s.t, s.Directory.Set(provisionertest.DN(eva), "shadowExpire", "1")) }},
		{name: "account locked by an administrator", cause: "account-locked", inject: func(s *scene) { s.connected(); must(s.t, s.Directory.Disable(provisionertest.DN(eva))) }},
		{name: "left the group", cause: "not-in-group", inject: func(s *scene) {
			s.connected()
			must(s.t, s.Directory.Leave(provisionertest.GroupDN("Homeoffice"), provisionertest.DN(eva)))
		}},
		{name: "locked by wrong passwords", cause: "locked-by-tries", inject: func(s *scene) {
			must(s.t, s.Directory.Set(provisionertest.DN(eva), "pwdAccountLockedTime", time.Now().UTC().Format("20060102150405Z")))
			s.signsIn(eva, provisionertest.Password)
		}},
		{name: "password expired, and kept", declare: password("keep"), cause: "password-expired", inject: expired},
		{name: "password expired, few hosts left", declare: password("password_only"), cause: "password-expired-limits", inject: expired},
		{name: "password expired, which closes", declare: password("close"), cause: "password-expired-closes", inject: expired},
		{name: "wrong password lately", cause: "wrong-password", inject: func(s *scene) { s.signsIn(eva, "falsch") }},
		{name: "wrong password lately, beside a laptop", cause: "wrong-password", own: "sign-in-failed", inject: func(s *scene) {
			s.enrolled()
			s.signsIn(eva, "falsch")
		}},
		{name: "unknown login lately", cause: "unknown-login", inject: func(s *scene) {
			dn := "uid=rösli," + provisionertest.People
			must(s.t, s.Directory.Add([]byte("dn: "+dn+"\nobjectClass: inetOrgPerson\nuid: rösli\ncn: r\nsn: r\ndisplayName: Rosalie\nuserPassword: x\n")))
			must(s.t, s.Directory.Join(provisionertest.GroupDN("Homeoffice"), dn))
			s.ask = &heimdrahtv1.ExplainRequest{Query: "Rosalie"}
			s.known("Rosalie")
			s.signsIn("roesli", provisionertest.Password)
		}},
		{name: "too many tries", cause: "too-many-tries", inject: func(s *scene) {
			for range 4 {
				s.signsIn(eva, "falsch")
			}
		}},
		{name: "the directory did not answer a sign-in", cause: "directory-did-not-answer", inject: func(s *scene) {
			s.Directory.SetUnavailable(true)
			s.signsIn(eva, provisionertest.Password)
		}},
		{name: "too many laptops", cause: "device-limit", inject: func(s *scene) {
			s.laptop = s.Enrol(eva, "SN1")
			s.Enrol(eva, "SN2")
			s.signsIn(eva, provisionertest.Password)
		}},

		{name: "device revoked", cause: "device-revoked", inject: func(s *scene) {
			_, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).RevokeDevice(provisionertest.As(s.t.Context(), s.Operator),
				&heimdrahtv1.RevokeDeviceRequest{DeviceId: s.enrolled().ID, Reason: "lost"})
			must(s.t, err)
		}},
		{name: "suspended by the helpdesk", cause: "device-suspended", inject: func(s *scene) { s.suspends(nil) }},
		{name: "suspended with the whole tenant", cause: "tenant-suspended", inject: func(s *scene) { s.enrolled(); s.suspendsAll() }},
		{name: "a new laptop of a tenant that is suspended", cause: "tenant-suspended", inject: func(s *scene) {
			s.suspendsAll()
			if _, err := provisionertest.TryEnrol(s.t.Context(), s.Dial(nil), provisionertest.NewLaptop(s.t), eva, "SN1"); err == nil {
				s.t.Error("a laptop was enrolled")
			}
		}},
		{name: "suspended for a time", cause: "device-suspended-until", inject: func(s *scene) { s.suspends(timestamppb.New(time.Now().Add(90 * 24 * time.Hour))) }},
		{name: "suspended by the directory, which is content by now", cause: "device-suspended-by-directory", inject: func(s *scene) {
			l := s.enrolled()
			s.write(func(tx *store.Writer) error {
				d, err := tx.Device(l.ID)
				if err == nil {
					_, err = tx.SuspendDevice(d, provisioner.Suspension{Source: provisioner.SuspendedByDirectory, Reason: "group", Since: tx.Now})
				}
				return err
			})
		}},
		{name: "certificate expired", cause: "certificate-expired", inject: func(s *scene) {
			l := s.enrolled()
			s.write(func(tx *store.Writer) error { return tx.NoteCertificate(l.ID, tx.Now.Add(-time.Hour)) })
		}},

		{name: "pool full", cause: "seat-awaited", declare: func(d *heimdrahtv1.Declaration) { d.LicencePools[0].Contracts[0].Seats = 1 }, inject: func(s *scene) {
			s.opened(s.Enrol(provisionertest.Second, "SN2"))
			s.refused(s.enrolled())
		}},
		{name: "contract over", cause: "licence-over", declare: func(d *heimdrahtv1.Declaration) { d.LicencePools[0].Contracts[0].Until = "2020-12-31" }, inject: func(s *scene) { s.refused(s.enrolled()) }},
		{name: "no licence", cause: "no-licence", declare: func(d *heimdrahtv1.Declaration) { d.LicencePools[0].Tenants[0].Tenant = provisionertest.Other }, inject: func(s *scene) { s.refused(s.enrolled()) }},
		{name: "no gateway for the tenant", cause: "no-gateway-for-tenant", declare: func(d *heimdrahtv1.Declaration) {
			d.Gateways[0].Tenants = []string{provisionertest.Other}
		}, inject: func(s *scene) { s.refused(s.enrolled()) }},
		{name: "gateway disconnected", cause: "gateway-away", inject: func(s *scene) { s.gateway.Stop(); s.refused(s.enrolled()) }},
		{name: "gateway full", cause: "gateway-full", declare: func(d *heimdrahtv1.Declaration) { d.Gateways[0].Sessions = 1 }, inject: func(s *scene) {
			s.opened(s.Enrol(provisionertest.Second, "SN2"))
			s.refused(s.enrolled())
		}},
		{name: "gateway does not confirm", cause: "gateway-behind", inject: func(s *scene) { s.gateway.Mute(true); s.refused(s.enrolled()) }},

		{name: "just opened", cause: "connecting", inject: func(s *scene) { s.opened(s.enrolled()) }},
		{name: "no handshake: UDP is blocked", cause: "gateway-silent", inject: func(s *scene) {
			stream, id := s.opened(s.enrolled())
			silent()
			s.renews(stream, &heimdrahtv1.RenewSession{SessionId: id, Usage: &heimdrahtv1.Usage{SentBytes: 740}, Clock: timestamppb.Now()})
		}},
		{name: "one way only", cause: "one-way-traffic", inject: func(s *scene) {
			stream, id := s.opened(s.enrolled())
			silent()
			s.renews(stream, &heimdrahtv1.RenewSession{SessionId: id, Usage: &heimdrahtv1.Usage{SentBytes: 740}, Clock: timestamppb.Now()})
			s.gateway.Observe(&heimdrahtv1.PeerObservation{SessionId: id, ReceivedBytes: 740, SentBytes: 460})
		}},
		{name: "nothing comes back from inside", cause: "inside-silent", inject: func(s *scene) {
			stream, id := s.connected()
			r := alive(id)
			r.Usage.SentBytes, r.Usage.ReceivedBytes = 400_000, 900
			s.renews(stream, r)
		}},
		{name: "the laptop's clock is an hour off", cause: "clock-wrong", inject: func(s *scene) {
			stream, id := s.connected()
			r := alive(id)
			r.Clock = timestamppb.New(time.Now().Add(-time.Hour))
			s.renews(stream, r)
		}},
		{name: "agent too old", options: provisionertest.Options{Version: "v2.3.0"}, cause: "agent-too-old", inject: func(s *scene) {
			stream := s.Attach(s.t.Context(), s.enrolled())
			must(s.t, stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{AgentVersion: "v1.9.0", Waits: true}}}))
			answer, err := stream.Recv()
			must(s.t, err)
			s.renews(stream, alive(answer.GetOpened().GetSessionId()))
		}},
		{name: "closed by its owner", cause: "session-closed", inject: func(s *scene) {
			stream, id := s.connected()
			must(s.t, stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: id}}}))
			_, err := stream.Recv()
			must(s.t, err)
		}},
		{name: "closed because the laptop was silent", cause: "session-expired", inject: func(s *scene) {
			l := s.enrolled()
			s.opened(l)
			s.write(func(tx *store.Writer) error {
				_, err := tx.CloseSessionOf(l.ID, provisioner.CodeSessionExpired)
				return err
			})
		}},
		{name: "opened elsewhere, again and again", cause: "session-elsewhere", inject: func(s *scene) {
			l := s.enrolled()
			for range 4 {
				s.opened(l)
			}
		}},

		{name: "the directory has been silent for five hours", cause: "directory-silent", inject: func(s *scene) {
			s.enrolled()
			s.Directory.SetUnavailable(true)
			s.fiveHoursLater()
		}},
		{name: "the brake holds back", options: provisionertest.Options{People: 30}, cause: "brake-holding", inject: func(s *scene) {
			s.connected()
			must(s.t, s.Directory.Set(provisionertest.GroupDN("Homeoffice"), "member", provisionertest.DN(provisionertest.Helpdesk)))
		}},
	}
}

// known waits until somebody can be found.
func (s *scene) known(query string) {
	s.t.Helper()
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // real: following the directory tells nobody when it is done
		found, err := desk.FindPeople(provisionertest.As(s.t.Context(), s.Operator), &heimdrahtv1.FindPeopleRequest{Query: query})
		must(s.t, err)
		if len(found.GetPeople()) == 1 {
			return
		}
		if time.Since(began) > 10*time.Second {
			s.t.Fatalf("nobody finds %s", query)
		}
	}
}

// fiveHoursLater makes everything that the directory said five hours older, once
// the control plane has noticed that it is gone.
func (s *scene) fiveHoursLater() {
	s.t.Helper()
	for down := false; !down; time.Sleep(20 * time.Millisecond) { // real: nothing tells when it is noticed
		s.write(func(tx *store.Writer) error {
			f, err := tx.Following("stadt-ldap")
			if err != nil || f.State != store.FollowingDown {
				return err
			}
			down = true
			f.HeardAt = f.HeardAt.Add(-5 * time.Hour)
			if err := tx.PutFollowing(f); err != nil {
				return err
			}
			people, err := tx.KnownPeople("stadt-ldap", "", 100)
			for _, p := range people {
				for _, v := range p.Standings {
					v.ReadAt = v.ReadAt.Add(-5 * time.Hour)
					if err := tx.PutStanding(v); err != nil {
						return err
					}
				}
			}
			return err
		})
	}
}

// TestWhy injects one fault after the other into a whole control plane, and asks
// why: the right cause is told within 10 s.
func TestWhy(t *testing.T) {
	for _, f := range append(faultsOfTheControlPlane(), faultsOfAccess()...) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			o := f.options
			o.Declaration = provisionertest.Declaration()
			if f.declare != nil {
				f.declare(o.Declaration)
			}
			s := &scene{Server: provisionertest.StartWith(t, o), t: t, ask: &heimdrahtv1.ExplainRequest{Query: eva, Tenant: provisionertest.Tenant}}
			s.gateway = s.JoinGateway("gw1")
			s.gateway.Run()
			s.known(eva)
			f.inject(s)
			s.isTold(f.cause)
			if s.laptop.ID != "" {
				s.isToldHerself(cmp.Or(f.own, f.cause))
			}
		})
	}
}

// isTold asks until the cause is told.
func (s *scene) isTold(want string) {
	s.t.Helper()
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // real: the directory and the gateways take their time
		r, err := desk.Explain(provisionertest.As(s.t.Context(), s.Operator), s.ask)
		if err != nil {
			s.t.Fatal("asking why: ", err)
		}
		c := r.GetCause()
		if c.GetCode() == want {
			if c.GetSentence() == "" || c.GetNextStep() == "" || c.GetWho() == "" || len(r.GetLinks()) == 0 {
				s.t.Errorf("told %v", r)
			}
			return
		}
		if time.Since(began) > 10*time.Second {
			s.t.Fatalf("told %s, want %s:\n%s", c.GetCode(), want, chain(r))
		}
	}
}

// isToldHerself asks at her laptop, which is told the same code.
func (s *scene) isToldHerself(want string) {
	s.t.Helper()
	answer, err := heimdrahtv1.NewSessionServiceClient(s.Dial(&s.laptop.Certificate)).ExplainOwn(
		metadata.AppendToOutgoingContext(s.t.Context(), "accept-language", "en"), &heimdrahtv1.ExplainOwnRequest{})
	c := answer.GetCause()
	switch {
	case err != nil && !strings.HasSuffix(err.Error(), want):
		s.t.Errorf("she is told %v, want %s", err, want)
	case err == nil && (c.GetCode() != want || c.GetSentence() == "" || c.GetNextStep() == "" || c.GetWho() == ""):
		s.t.Errorf("she is told %v, want %s:\n%s", c, want, chain(answer))
	}
	for _, l := range answer.GetLinks() {
		if strings.Contains(l.GetFigure(), "/100") || l.GetLink() == "sign-in" && l.GetCode() == "wrong-password" {
			s.t.Errorf("she is told of others, or what a password was: %v", l)
		}
	}
	if strings.Contains(answer.String(), reasonOfTheDesk) {
		s.t.Errorf("she is told the helpdesk's reason: %v", answer)
	}
}

func chain(r interface{ GetLinks() []*heimdrahtv1.Link }) (text string) {
	for _, l := range r.GetLinks() {
		text += fmt.Sprintf("%v %s: %s %s\n", l.GetState(), l.GetTitle(), l.GetFigure(), l.GetCode())
	}
	return text
}

// TestWhyWithoutADatabase: where the control plane itself cannot look, its
// refusal is the cause. A lock by another process is
// waited for ten seconds first; a full or broken disk is told at once.
func TestWhyWithoutADatabase(t *testing.T) {
	t.Parallel()
	s := &scene{Server: provisionertest.Start(t, nil), t: t}
	s.known(eva)
	locked, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.write(func(*store.Writer) error {
			close(locked)
			<-release
			return nil
		})
	}()
	<-locked
	_, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).Explain(provisionertest.As(t.Context(), s.Operator),
		&heimdrahtv1.ExplainRequest{Query: eva, Tenant: provisionertest.Tenant})
	close(release)
	<-done
	if err == nil || !strings.HasSuffix(err.Error(), string(provisioner.CodeDatabaseUnavailable)) {
		t.Errorf("told %v", err)
	}
}
