package provisionertest_test

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// faultsOfAccess are those of what a tenant wants beside the right itself: its
// rules, its hours, its word on laptops, and somebody who answers for others.
func faultsOfAccess() []faultOf {
	policy := func(change func(*heimdrahtv1.Policy)) func(*heimdrahtv1.Declaration) {
		return func(d *heimdrahtv1.Declaration) { change(d.Tenants[0].Policy) }
	}
	approval := policy(func(p *heimdrahtv1.Policy) { p.Approval = "helpdesk" })
	return []faultOf{
		{name: "the house rules have changed", cause: "house-rules", inject: func(s *scene) {
			l := s.enrolled()
			s.rules()
			s.refused(l)
		}},
		{name: "the house rules have changed beside a connection", cause: "house-rules", inject: func(s *scene) {
			s.connected()
			s.rules()
		}},
		{name: "house rules acknowledged since", cause: "laptop-off", inject: func(s *scene) {
			l := s.enrolled()
			s.rules()
			s.refused(l)
			client := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&l.Certificate))
			rules, err := client.GetHouseRules(s.t.Context(), &heimdrahtv1.GetHouseRulesRequest{})
			must(s.t, err)
			_, err = client.AcknowledgeHouseRules(s.t.Context(), &heimdrahtv1.AcknowledgeHouseRulesRequest{Version: rules.GetHouseRules().GetVersion()})
			must(s.t, err)
		}},
		{name: "waits for the helpdesk's approval", cause: "approval-awaited", declare: approval, inject: func(s *scene) { s.refused(s.enrolled()) }},
		{name: "outside of the hours", cause: "outside-hours", declare: policy(func(p *heimdrahtv1.Policy) {
			p.Access = []*heimdrahtv1.AccessTime{{Group: "all", Until: "2020-12-31"}}
		}), inject: func(s *scene) { s.refused(s.enrolled()) }},
		{name: "has to sign in again", cause: "sign-in-needed", declare: policy(func(p *heimdrahtv1.Policy) { p.SignInEveryS = new(int64(86400)) }), inject: func(s *scene) {
			l := s.enrolled()
			s.write(func(tx *store.Writer) error { return tx.NoteSignIn(l.ID, tx.Now.Add(-25*time.Hour)) })
			s.refused(l)
		}},
		{name: "signed in again since", cause: "laptop-off", declare: policy(func(p *heimdrahtv1.Policy) { p.SignInEveryS = new(int64(86400)) }), inject: func(s *scene) {
			l := s.enrolled()
			s.write(func(tx *store.Writer) error { return tx.NoteSignIn(l.ID, tx.Now.Add(-25*time.Hour)) })
			s.refused(l)
			_, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&l.Certificate)).SignInAgain(s.t.Context(), &heimdrahtv1.SignInAgainRequest{Login: eva, Password: provisionertest.Password})
			must(s.t, err)
		}},

		{name: "an invitation that was used", cause: "invitation-used", inject: func(s *scene) {
			token := s.invited(time.Hour)
			s.comes(token, "SN1", true)
			s.comes(token, "SN1", false)
		}},
		{name: "an invitation that has expired", cause: "invitation-expired", inject: func(s *scene) { s.comes(s.invited(-time.Minute), "SN1", false) }},
		{name: "an invitation of another laptop", cause: "invitation-other-serial-number", inject: func(s *scene) { s.comes(s.invited(time.Hour), "SN2", false) }},

		{name: "an external person whose day is over", cause: "external-ended", inject: func(s *scene) {
			l := s.enrolled()
			s.external(l)
			s.refused(l)
		}},
		{name: "an external person whose day ends beside a connection", cause: "external-ended", inject: func(s *scene) {
			s.connected()
			s.external(s.laptop)
		}},

		{name: "a phone that is away", cause: "static-off", inject: func(s *scene) { s.phone() }},
		{name: "a phone that was suspended", cause: "device-suspended", inject: func(s *scene) {
			_, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).SuspendDevice(provisionertest.As(s.t.Context(), s.Operator),
				&heimdrahtv1.SuspendDeviceRequest{DeviceId: s.phone(), Reason: "lost"})
			must(s.t, err)
		}},
	}
}

// rules declares house rules that nobody has acknowledged.
func (s *scene) rules() {
	d := provisionertest.Declaration()
	d.Tenants[0].HouseRules = &heimdrahtv1.HouseRulesDeclaration{German: "Nicht mitlesen lassen.", English: "Let nobody read along."}
	s.Apply(d)
}

// eva's id as the control plane has it.
func (s *scene) person() string {
	s.t.Helper()
	found, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).FindPeople(provisionertest.As(s.t.Context(), s.Operator), &heimdrahtv1.FindPeopleRequest{Query: eva})
	must(s.t, err)
	return found.GetPeople()[0].GetPersonId()
}

// invited is an invitation of hers for the laptop SN1, good for so long.
func (s *scene) invited(life time.Duration) (token string) {
	token = strings.Repeat("a", 52)
	person := s.person()
	s.write(func(tx *store.Writer) error {
		return tx.AddInvitation(token, provisioner.Invitation{
			ID: provisioner.NewID(), Tenant: provisionertest.Tenant, Person: person, SerialNumber: "SN1", CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(life),
		})
	})
	return token
}

// comes enrols a laptop with an invitation.
func (s *scene) comes(token, serial string, admitted bool) {
	s.t.Helper()
	_, err := provisionertest.TryEnrolAs(s.t.Context(), s.Dial(nil), provisionertest.NewLaptop(s.t), &heimdrahtv1.EnrolRequest{Invitation: token, SerialNumber: serial})
	if (err == nil) != admitted {
		s.t.Fatal("enrolling with an invitation: ", err)
	}
}

// external has somebody answer for her until a minute ago.
func (s *scene) external(l provisionertest.Laptop) {
	s.t.Helper()
	s.write(func(tx *store.Writer) error {
		d, err := tx.Device(l.ID)
		if err != nil {
			return err
		}
		return tx.PutExternal(provisioner.External{Person: d.Person, Tenant: d.Tenant, Sponsor: d.Person, Until: tx.Now.Add(-time.Minute), Reason: "trainee"})
	})
}

// phone is one of hers, of which nobody has heard yet.
func (s *scene) phone() string {
	s.t.Helper()
	made, err := heimdrahtv1.NewStaticServiceClient(s.Dial(nil)).MakeStaticDevice(provisionertest.As(s.t.Context(), s.Operator), &heimdrahtv1.MakeStaticDeviceRequest{
		PersonId: s.person(), Tenant: provisionertest.Tenant, DeviceName: "phone", WireguardPublicKey: provisionertest.NewWireGuardKey(),
		Until: timestamppb.New(time.Now().Add(24 * time.Hour)), Reason: "phone",
	})
	must(s.t, err)
	id := made.GetDevice().GetDevice().GetDeviceId()
	s.ask = &heimdrahtv1.ExplainRequest{DeviceId: id}
	return id
}
