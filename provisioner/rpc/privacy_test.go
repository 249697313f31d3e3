package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// timesShown are all times that the helpdesk is shown of people, laptops and sessions
// without a purpose, each with why it is no record of working hours.
func timesShown() map[string]string {
	return map[string]string{
		"GetPersonResponse.directory_read_at": "when the directory was read",
		"PersonSuspension.since":              "when the helpdesk took access",
		"PersonSuspension.ends_at":            "until when it rests",
		"RecentRefusal.at":                    "when something did not work",
		"Device.enrolled_at":                  "once a laptop",
		"Device.certificate_not_after":        "each three weeks",
		"Device.static_until":                 "of what the helpdesk has made",
		"Session.lease_until":                 "of the session that is open: in five minutes",
		"GatewayConfirmation.grace_until":     "of the gateway",
		"IssueFactorTokenResponse.expires_at": "of the token",
		"Proposal.proposed_at":                "when somebody of the staff proposed it",
		"Proposal.expires_at":                 "of the proposal",
	}
}

// What the helpdesk can see without a purpose has no time in it by which one could tell
// when somebody worked: whoever shows one more has to say why.
func TestTheHelpdeskSeesNoHistory(t *testing.T) {
	seen := make(map[string]bool)
	var look func(m protoreflect.MessageDescriptor, done map[protoreflect.FullName]bool)
	look = func(m protoreflect.MessageDescriptor, done map[protoreflect.FullName]bool) {
		if done[m.FullName()] {
			return
		}
		done[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			switch {
			case f.Message() == nil:
			case f.Message().FullName() == "google.protobuf.Timestamp":
				seen[string(m.Name())+"."+string(f.Name())] = true
			default:
				look(f.Message(), done)
			}
		}
	}
	desk := heimdrahtv1.File_heimdraht_v1_helpdesk_proto.Services().ByName("HelpdeskService")
	for i := range desk.Methods().Len() {
		look(desk.Methods().Get(i).Output(), make(map[protoreflect.FullName]bool))
	}
	for name := range seen {
		if timesShown()[name] == "" {
			t.Errorf("the helpdesk is shown %s without a purpose. If it says when somebody worked (the end of a last session, say), it belongs into PrivacyService.GetHistory; else say here why it does not", name)
		}
	}
	for name := range timesShown() {
		if !seen[name] {
			t.Errorf("%s is not shown any more", name)
		}
	}
}

// privacyWorld is a town with a laptop that was connected and is not any more.
type privacyWorld struct {
	*provisionertest.Server
	desk    heimdrahtv1.HelpdeskServiceClient
	privacy heimdrahtv1.PrivacyServiceClient
	hilde   context.Context
	boss    context.Context // operator
	laptop  provisionertest.Laptop
	eva     string // her id
	session string
}

func newPrivacyWorld(t *testing.T) *privacyWorld {
	t.Helper()
	s := provisionertest.StartWith(t, provisionertest.Options{People: 1})
	s.JoinGateway("gw1").Run()
	conn := s.Dial(nil)
	w := &privacyWorld{
		Server: s, desk: heimdrahtv1.NewHelpdeskServiceClient(conn), privacy: heimdrahtv1.NewPrivacyServiceClient(conn),
		hilde: provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk)), boss: provisionertest.As(t.Context(), s.Operator),
		laptop: s.Enrol(provisionertest.Staff, "SN-4711"),
	}
	w.eva = staffOf(t, s, provisionertest.Staff)
	stream := s.Attach(t.Context(), w.laptop)
	w.session = open(t, stream).GetSessionId()
	must(t, stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: w.session}}}))
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return w
}

// records are the records of an action in the audit log.
func (w *privacyWorld) records(t *testing.T, action string) []*heimdrahtv1.ListedRecord {
	t.Helper()
	r, err := heimdrahtv1.NewAuditServiceClient(w.Dial(nil)).ListRecords(w.boss, &heimdrahtv1.ListRecordsRequest{Action: action})
	must(t, err)
	return r.GetRecords()
}

// A history takes a purpose and a reason, and the look is recorded; beyond twenty
// a day nobody looks.
func TestHistoryForAPurpose(t *testing.T) {
	w := newPrivacyWorld(t)
	for what, said := range map[string]string{
		"a person":  protojson.Format(first(w.desk.GetPerson(w.hilde, &heimdrahtv1.GetPersonRequest{PersonId: w.eva}))),
		"a device":  protojson.Format(first(w.desk.GetDevice(w.hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: w.laptop.ID}))),
		"sessions":  protojson.Format(first(w.desk.ListSessions(w.hilde, &heimdrahtv1.ListSessionsRequest{}))),
		"who is it": protojson.Format(first(w.desk.FindPeople(w.hilde, &heimdrahtv1.FindPeopleRequest{Query: w.session}))),
	} {
		if strings.Contains(said, w.session) {
			t.Errorf("without a purpose, %s tells of a session that has ended: %s", what, said)
		}
	}
	ask := func(purpose heimdrahtv1.Purpose, reason string) (*heimdrahtv1.GetHistoryResponse, error) {
		return w.privacy.GetHistory(w.hilde, &heimdrahtv1.GetHistoryRequest{PersonId: w.eva, Purpose: purpose, Reason: reason})
	}
	_, err := ask(heimdrahtv1.Purpose_PURPOSE_FAULT, " \x00\n")
	expect(t, "without a reason", err, "reason-missing")
	_, err = ask(0, "curious")
	expect(t, "without a purpose", err, "invalid")
	_, err = ask(77, "curious")
	expect(t, "for a purpose that there is not", err, "invalid")
	if n := len(w.records(t, "read history")); n != 0 {
		t.Errorf("%d looks are recorded, and there was none", n)
	}
	r, err := ask(heimdrahtv1.Purpose_PURPOSE_FAULT, "drops each hour")
	must(t, err)
	if len(r.GetSessions()) != 1 || r.GetSessions()[0].GetGateway() != "gw1" || r.GetSessions()[0].GetClosedAt() == nil || r.GetSessions()[0].GetOpenedAt() == nil {
		t.Errorf("the history is %v", r)
	}
	list := w.records(t, "read history")
	if len(list) != 1 || list[0].GetObjectId() != w.eva || list[0].GetReason() != "drops each hour" || list[0].GetDetails()["purpose"] != "fault" || list[0].GetSource() == "" {
		t.Errorf("recorded is %v", list)
	}
	for range 19 {
		_, err := ask(heimdrahtv1.Purpose_PURPOSE_SECURITY_INCIDENT, "again")
		must(t, err)
	}
	_, err = ask(heimdrahtv1.Purpose_PURPOSE_FAULT, "one more")
	expect(t, "beyond twenty a day", err, "history-limit")
	if last := w.records(t, "read history")[0]; last.GetResult() != "history-limit" {
		t.Errorf("that was not recorded: %v", last)
	}
}

func first[T any](v T, _ error) T { return v }

// exported is what somebody is handed out, as text, and by table.
func (w *privacyWorld) exported(ctx context.Context, r *heimdrahtv1.ExportPersonRequest) (string, []string, error) {
	stream, err := w.privacy.ExportPerson(ctx, r)
	if err != nil {
		return "", nil, err
	}
	var text string
	var tables []string
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return text, tables, nil
		}
		if err != nil {
			return "", nil, err
		}
		text += protojson.Format(part)
		tables = append(tables, part.GetSection().GetTable())
		if s := part.GetSection(); s != nil && (s.GetWhat() == "" || s.GetWhy() == "" || s.GetKeptUntil() == "" || s.GetSeenBy() == "" || s.GetWhenForgotten() == "") {
			return "", nil, fmt.Errorf("%s has no words", s.GetTable())
		}
	}
}

// A person is handed out what is kept of her, by herself or by an administrator with a
// reason; whom she does not know is not named, and nobody else's is told.
func TestExport(t *testing.T) {
	w := newPrivacyWorld(t)
	_, err := w.desk.GetPerson(w.hilde, &heimdrahtv1.GetPersonRequest{PersonId: w.eva})
	must(t, err)
	herself := provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Staff))
	own, tables, err := w.exported(herself, &heimdrahtv1.ExportPersonRequest{})
	must(t, err)
	for _, want := range []string{"SN-4711", "eva Beispiel", w.session, "read person"} {
		if !strings.Contains(own, want) {
			t.Errorf("what is kept of her lacks %q:\n%s", want, own)
		}
	}
	for _, want := range []string{"person", "device", "session", "standing", "staff_token", "audit_record"} {
		if !slices.Contains(tables, want) {
			t.Errorf("what is kept of her lacks %s: %v", want, tables)
		}
	}
	if strings.Contains(own, "hilde Beispiel") {
		t.Error("she is told the name of who looked")
	}
	anna := provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Admin))
	if _, _, err := w.exported(anna, &heimdrahtv1.ExportPersonRequest{PersonId: w.eva, Reason: "Art. 15"}); err != nil {
		t.Error(err)
	}
	_, _, err = w.exported(anna, &heimdrahtv1.ExportPersonRequest{PersonId: w.eva})
	expect(t, "without a reason", err, "reason-missing")
	_, _, err = w.exported(w.hilde, &heimdrahtv1.ExportPersonRequest{PersonId: w.eva, Reason: "x"})
	expect(t, "by the helpdesk", err, "not-allowed")
	_, _, err = w.exported(herself, &heimdrahtv1.ExportPersonRequest{PersonId: staffOf(t, w.Server, provisionertest.Helpdesk), Reason: "x"})
	expect(t, "of somebody else", err, "not-found")
	if n := len(w.records(t, "export person")); n != 3 { // with the helpdesk's try
		t.Errorf("%d exports are recorded", n)
	}
}

// Whoever has access is not forgotten; who has none is, and nothing says her name any
// more, nor does the log, which still verifies.
func TestForget(t *testing.T) {
	w := newPrivacyWorld(t)
	anna := provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Admin))
	forget := func(ctx context.Context, reason string) (*heimdrahtv1.ForgetPersonResponse, error) {
		return w.privacy.ForgetPerson(ctx, &heimdrahtv1.ForgetPersonRequest{PersonId: w.eva, Reason: reason})
	}
	_, err := forget(anna, "Art. 17")
	expect(t, "who has access", err, "still-has-access")
	_, err = forget(anna, "")
	expect(t, "without a reason", err, "reason-missing")
	_, err = forget(w.hilde, "x")
	expect(t, "by the helpdesk", err, "not-allowed")
	revoked, err := w.desk.RevokePerson(w.hilde, &heimdrahtv1.RevokePersonRequest{PersonId: w.eva, Reason: "left"})
	if err != nil || len(revoked.GetDevices()) != 1 {
		t.Fatal(revoked, err)
	}
	var done *heimdrahtv1.ForgetPersonResponse
	eventually(t, "the gateway's word is written down", func() bool {
		done, err = forget(anna, "Art. 17")
		return codeOf(err) != "forget-too-early"
	})
	if err != nil || done.GetDevices() != 1 || done.GetElsewhere() || done.GetTenant() != provisionertest.Tenant {
		t.Fatal(done, err)
	}
	found, err := w.desk.FindPeople(w.boss, &heimdrahtv1.FindPeopleRequest{Query: "SN-4711"})
	if err != nil || len(found.GetPeople()) > 0 {
		t.Error(found, err)
	}
	_, err = w.desk.GetPerson(w.boss, &heimdrahtv1.GetPersonRequest{PersonId: w.eva})
	expect(t, "who is forgotten", err, "not-found")
	_, err = forget(anna, "again")
	expect(t, "forgetting again", err, "not-found")
	stream := w.Attach(t.Context(), w.laptop)
	_, err = stream.Recv()
	expect(t, "her laptop", err, "device-unknown")
	list := w.records(t, "forget person") // the last, and the helpdesk's try
	if len(list) != 2 || list[0].GetObjectId() != w.eva || list[0].GetObjectName() != "" || list[0].GetReason() != "Art. 17" || list[0].GetActorName() == "" {
		t.Errorf("recorded is %v", list)
	}
}

// A lost laptop is revoked and reported at once, and its report says what decides
// whether the authority has to be told.
func TestReportLost(t *testing.T) {
	w := newPrivacyWorld(t)
	anna := provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Admin))
	report := func(since time.Duration) (*heimdrahtv1.ReportLostResponse, error) {
		r := &heimdrahtv1.ReportLostRequest{DeviceId: w.laptop.ID, Reason: "left in the train", Stolen: since > 0}
		if since != 0 {
			r.Since = timestamppb.New(time.Now().Add(-since))
		}
		return w.privacy.ReportLost(w.hilde, r)
	}
	invitations := heimdrahtv1.NewInvitationServiceClient(w.Dial(nil))
	for _, serial := range []string{"SN-4711", "SN9"} {
		_, err := invitations.Invite(w.hilde, &heimdrahtv1.InviteRequest{Lines: []*heimdrahtv1.InviteLine{{Login: provisionertest.Staff, SerialNumber: serial}}})
		must(t, err)
	}
	_, err := report(-time.Hour)
	expect(t, "in the future", err, "invalid")
	before := time.Now()
	r, err := report(time.Hour)
	must(t, err)
	l := r.GetReport()
	if l.GetConnected() != "yes" || !l.GetStolen() || r.GetDevice().GetState() != heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED || l.GetAccessEndedAt() == nil {
		t.Errorf("the report is %v", r)
	}
	if d := l.GetNotifyUntil().AsTime().Sub(l.GetReportedAt().AsTime()); d != 72*time.Hour {
		t.Errorf("the deadline is after %s", d)
	}
	open, err := invitations.ListInvitations(w.hilde, &heimdrahtv1.ListInvitationsRequest{})
	if err != nil || len(open.GetInvitations()) != 1 || open.GetInvitations()[0].GetSerialNumber() != "SN9" {
		t.Errorf("of the invitations stay open %v, %v", open, err)
	}
	again, err := report(20 * 24 * time.Hour)
	if err != nil || again.GetReport().GetReportId() != l.GetReportId() || again.GetReport().GetReportedAt().AsTime().After(time.Now()) || again.GetReport().GetReportedAt().AsTime().Before(before.Add(-time.Second)) {
		t.Errorf("reported again it is %v, %v; was %v", again, err, l)
	}
	listed, err := w.privacy.ListLost(anna, &heimdrahtv1.ListLostRequest{Limit: 1})
	if err != nil || len(listed.GetReports()) != 1 || listed.GetReports()[0].GetPersonName() == "" || listed.GetReports()[0].GetReportedBy() == "" || listed.GetNextPageToken() != "" {
		t.Errorf("listed are %v, %v", listed, err)
	}
	_, err = w.privacy.ListLost(w.hilde, &heimdrahtv1.ListLostRequest{})
	expect(t, "by the helpdesk", err, "not-allowed")
	_, err = w.privacy.ListLost(anna, &heimdrahtv1.ListLostRequest{PageToken: "x"})
	expect(t, "a page that there is not", err, "invalid")
	other := w.Enrol(provisionertest.Login(0), "SN2")
	r, err = w.privacy.ReportLost(w.hilde, &heimdrahtv1.ReportLostRequest{DeviceId: other.ID, Reason: "gone"})
	if err != nil || r.GetReport().GetConnected() != "unknown" || r.GetReport().GetAccessEndedAt() == nil {
		t.Errorf("one that was never connected: %v, %v", r, err)
	}
	if n := len(w.records(t, "report lost device")); n != 3 {
		t.Errorf("%d reports are recorded", n)
	}
}

// What is in use is not listed, and of few days nobody is told.
func TestUnused(t *testing.T) {
	w := newPrivacyWorld(t)
	_, err := w.privacy.ListUnused(w.hilde, &heimdrahtv1.ListUnusedRequest{Days: 7})
	expect(t, "of a week", err, "invalid")
	r, err := w.privacy.ListUnused(w.hilde, &heimdrahtv1.ListUnusedRequest{Days: 30})
	if err != nil || len(r.GetDevices()) != 0 {
		t.Error(r, err)
	}
	_, err = w.privacy.ListUnused(w.hilde, &heimdrahtv1.ListUnusedRequest{Days: 30, PageToken: "0"})
	must(t, err)
	if n := len(w.records(t, "list unused access")); n != 2 {
		t.Errorf("%d looks are recorded, and there were two pages", n)
	}
	taken, err := w.desk.Take(w.hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, UnusedDays: 30, Reason: "review"})
	if err != nil || taken.GetDevices() != 0 || taken.GetTakingId() != "" {
		t.Error(taken, err)
	}
	_, err = w.desk.Take(w.hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, UnusedDays: 3, Reason: "review"})
	expect(t, "taking that of three days", err, "invalid")
}

// Who is suspended as a person enrols no other laptop, until it is given back; also
// who has no laptop yet.
func TestASuspendedPerson(t *testing.T) {
	w := newPrivacyWorld(t)
	conn := w.Dial(nil)
	enrol := func(login, serial string) error {
		_, err := provisionertest.TryEnrol(t.Context(), conn, provisionertest.NewLaptop(t), login, serial)
		return err
	}
	take := func(action heimdrahtv1.TakeAction, person string, ends *timestamppb.Timestamp) {
		t.Helper()
		r, err := w.desk.Take(w.hilde, &heimdrahtv1.TakeRequest{Action: action, PersonId: person, Reason: "Elternzeit", EndsAt: ends})
		if err != nil || r.GetTakingId() == "" {
			t.Fatal(r, err)
		}
		finished(w.hilde, t, w.desk, r.GetTakingId())
	}
	take(takeSuspend, w.eva, nil)
	expect(t, "another laptop", enrol(provisionertest.Staff, "SN-2"), "person-suspended")
	p, err := w.desk.GetPerson(w.hilde, &heimdrahtv1.GetPersonRequest{PersonId: w.eva})
	if err != nil || p.GetSuspension().GetReason() != "Elternzeit" || p.GetSuspension().GetEndsAt() != nil || len(p.GetDevices()) != 1 {
		t.Errorf("shown is %v, %v", p, err)
	}
	take(takeRestore, w.eva, nil)
	if err := enrol(provisionertest.Staff, "SN-2"); err != nil {
		t.Error("once it is given back: ", err)
	}

	if err := enrol(provisionertest.Login(0), "SN-3"); err != nil {
		t.Fatal(err)
	}
	other := staffOf(t, w.Server, provisionertest.Login(0))
	if _, err := w.desk.RevokePerson(w.hilde, &heimdrahtv1.RevokePersonRequest{PersonId: other, Reason: "old laptop"}); err != nil {
		t.Fatal(err)
	}
	take(takeSuspend, other, timestamppb.New(time.Now().Add(1500*time.Millisecond))) // she has no laptop
	expect(t, "the first laptop", enrol(provisionertest.Login(0), "SN-4"), "person-suspended")
	eventually(t, "the suspension ends by itself", func() bool { return enrol(provisionertest.Login(0), "SN-4") == nil })
}

// Two of the helpdesk who take and give back the same laptop at once: each is
// answered, what holds at the end is one of the two, and the log tells how it came.
func TestRevokingAndRestoringAtOnce(t *testing.T) {
	w := newPrivacyWorld(t)
	for range 5 {
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				var err error
				switch i % 2 {
				case 0:
					_, err = w.desk.SuspendDevice(w.hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: w.laptop.ID, Reason: "suspicious"})
				default:
					_, err = w.desk.RestoreDevice(w.boss, &heimdrahtv1.RestoreDeviceRequest{DeviceId: w.laptop.ID, Reason: "a mistake"})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	suspended := len(w.records(t, "suspend device")) - len(w.records(t, "restore device"))
	d, err := w.desk.GetDevice(w.hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: w.laptop.ID})
	if err != nil || (suspended == 1) != (d.GetDevice().GetState() == heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED) || suspended < 0 || suspended > 1 {
		t.Errorf("by the log it is suspended %d times, and it is %v, %v", suspended, d, err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := w.desk.RevokeDevice(w.hilde, &heimdrahtv1.RevokeDeviceRequest{DeviceId: w.laptop.ID, Reason: "lost"}); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() {
		if _, err := w.desk.RestoreDevice(w.boss, &heimdrahtv1.RestoreDeviceRequest{DeviceId: w.laptop.ID, Reason: "found"}); err != nil && codeOf(err) != "device-revoked" {
			t.Error(err)
		}
	})
	group.Wait()
	d, err = w.desk.GetDevice(w.hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: w.laptop.ID})
	if err != nil || d.GetDevice().GetState() != heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED {
		t.Errorf("in the end it is %v, %v", d, err)
	}
}

// Reasons are kept as one line of a bounded length, whatever was typed; one of a
// megabyte does not even arrive.
func TestReasonsOfAnyKind(t *testing.T) {
	w := newPrivacyWorld(t)
	reason := "\x1b]0;title\x07lost\r\n\u202ein the train\x00" + strings.Repeat(" x", 5_000)
	if _, err := w.desk.SuspendDevice(w.hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: w.laptop.ID, Reason: reason}); err != nil {
		t.Fatal(err)
	}
	kept := w.records(t, "suspend device")[0].GetReason()
	if !strings.HasPrefix(kept, "]0;title lost in the train x") || len([]rune(kept)) > 500 || strings.ContainsAny(kept, "\x00\x07\x1b\r\n\u202e") {
		t.Errorf("kept is %.80q… of %d", kept, len(kept))
	}
	d, err := w.desk.GetDevice(w.hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: w.laptop.ID})
	if err != nil || d.GetDevice().GetStateReason() != kept {
		t.Errorf("shown is %.80q, %v", d.GetDevice().GetStateReason(), err)
	}
	endless := strings.Repeat("x", 1<<20)
	for what, call := range map[string]func() error{
		"revoking": func() error {
			_, err := w.desk.RevokeDevice(w.hilde, &heimdrahtv1.RevokeDeviceRequest{DeviceId: w.laptop.ID, Reason: endless})
			return err
		},
		"restoring": func() error {
			_, err := w.desk.RestoreDevice(w.hilde, &heimdrahtv1.RestoreDeviceRequest{DeviceId: w.laptop.ID, Reason: endless})
			return err
		},
		"reporting": func() error {
			_, err := w.privacy.ReportLost(w.hilde, &heimdrahtv1.ReportLostRequest{DeviceId: w.laptop.ID, Reason: endless})
			return err
		},
		"a history": func() error {
			_, err := w.privacy.GetHistory(w.hilde, &heimdrahtv1.GetHistoryRequest{PersonId: w.eva, Purpose: 1, Reason: endless})
			return err
		},
	} {
		expect(t, what+" with a megabyte of reason", call(), "message-too-large")
	}
	if state := states(t, w.Server, []provisionertest.Laptop{w.laptop}); state[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != 1 {
		t.Errorf("it is %v", state)
	}
}
