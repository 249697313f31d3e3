package rpc_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// auditWorld is a town in which something has happened, in two tenants.
type auditWorld struct {
	*provisionertest.Server
	audit                              heimdrahtv1.AuditServiceClient
	desk                               heimdrahtv1.HelpdeskServiceClient
	admin, helpdesk, planner, stranger string // tokens
	laptop                             provisionertest.Laptop
}

func newAuditWorld(t *testing.T) *auditWorld {
	t.Helper()
	s := provisionertest.Start(t, nil)
	w := &auditWorld{
		Server: s, audit: heimdrahtv1.NewAuditServiceClient(s.Dial(nil)), desk: heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)),
		admin: s.Login(provisionertest.Tenant, provisionertest.Admin), helpdesk: s.Login(provisionertest.Tenant, provisionertest.Helpdesk),
		planner: s.Login(provisionertest.Tenant, provisionertest.Planner), stranger: s.Login(provisionertest.Other, provisionertest.Stranger),
		laptop: s.Enrol(provisionertest.Staff, "SN1"),
	}
	return w
}

func (w *auditWorld) list(t *testing.T, token string, r *heimdrahtv1.ListRecordsRequest) []*heimdrahtv1.ListedRecord {
	t.Helper()
	answer, err := w.audit.ListRecords(provisionertest.As(t.Context(), token), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetRecords()
}

// export gives the parts, and the records of each chain.
func (w *auditWorld) export(ctx context.Context, token, tenant string) (begin *heimdrahtv1.ExportBegin, chains map[string][]*heimdrahtv1.RawRecord, err error) {
	stream, err := w.audit.Export(provisionertest.As(ctx, token), &heimdrahtv1.ExportRequest{Tenant: tenant, Reason: "audit of the year"})
	if err != nil {
		return nil, nil, err
	}
	chains = make(map[string][]*heimdrahtv1.RawRecord)
	ended := false
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) && ended {
			return begin, chains, nil
		}
		if err != nil {
			return nil, nil, err
		}
		switch {
		case part.GetBegin() != nil:
			begin = part.GetBegin()
		case part.GetEnd() != nil:
			ended = true
		default:
			chains[part.GetRecords().GetChain()] = append(chains[part.GetRecords().GetChain()], part.GetRecords().GetRecords()...)
		}
	}
}

func lines(list []*heimdrahtv1.ListedRecord) (all []string) {
	for _, r := range list {
		all = append(all, fmt.Sprintf("%s %s %s %s %s", r.GetTenant(), r.GetRole(), r.GetAction(), r.GetObjectKind(), r.GetResult()))
	}
	return all
}

func has(list []*heimdrahtv1.ListedRecord, line string) bool {
	for _, l := range lines(list) {
		if l == line {
			return true
		}
	}
	return false
}

// Looks at one person and refusals of staff are recorded; searches are not, and
// who looks at the log is recorded too.
func TestLooksAndRefusalsAreRecorded(t *testing.T) {
	w := newAuditWorld(t)
	ctx := provisionertest.As(t.Context(), w.helpdesk)
	found, err := w.desk.FindPeople(ctx, &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff})
	if err != nil || len(found.GetPeople()) != 1 {
		t.Fatal(found, err)
	}
	person := found.GetPeople()[0].GetPersonId()
	before := len(w.list(t, w.admin, &heimdrahtv1.ListRecordsRequest{Limit: 1000}))
	if _, err := w.desk.FindPeople(ctx, &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff}); err != nil {
		t.Fatal(err)
	}
	if n := len(w.list(t, w.admin, &heimdrahtv1.ListRecordsRequest{Limit: 1000})) - before; n != 1 { // the look at the log
		t.Errorf("a search made %d records", n-1)
	}
	if _, err := w.desk.GetPerson(ctx, &heimdrahtv1.GetPersonRequest{PersonId: person}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.desk.GetDevice(ctx, &heimdrahtv1.GetDeviceRequest{DeviceId: w.laptop.ID}); err != nil {
		t.Fatal(err)
	}
	_, err = w.audit.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{})
	expect(t, "the helpdesk's look at the log", err, "not-allowed")
	_, _, err = w.export(t.Context(), w.helpdesk, "")
	expect(t, "the helpdesk's export", err, "not-allowed")
	_, err = w.desk.GetPerson(provisionertest.As(t.Context(), w.planner), &heimdrahtv1.GetPersonRequest{PersonId: person})
	expect(t, "the planner's look at a person", err, "not-allowed")
	_, err = w.audit.GetKey(provisionertest.As(t.Context(), w.planner), &heimdrahtv1.GetKeyRequest{})
	expect(t, "the planner's question for the key", err, "not-allowed")

	list := w.list(t, w.admin, &heimdrahtv1.ListRecordsRequest{})
	for _, want := range []string{
		"stadt helpdesk read person person done", "stadt helpdesk read device device done", "stadt helpdesk read audit log  not-allowed",
		"stadt helpdesk export audit log  not-allowed", "stadt planner read person  not-allowed", "stadt planner read audit key  not-allowed",
		"stadt tenant_admin read audit log audit log done", "stadt helpdesk sign in  done", "stadt device enrol device done",
	} {
		if !has(list, want) && !has(list, strings.Replace(want, "device enrol", "anonymous enrol", 1)) && !has(list, strings.Replace(want, "device enrol", "staff enrol", 1)) {
			t.Errorf("nothing says %q in\n%s", want, strings.Join(lines(list), "\n"))
		}
	}
	for _, c := range []struct {
		name string
		r    *heimdrahtv1.ListRecordsRequest
		want int
	}{
		{"of the person", &heimdrahtv1.ListRecordsRequest{Person: person}, 3}, // enrolled, two looks
		{"of the device", &heimdrahtv1.ListRecordsRequest{Device: w.laptop.ID[:8]}, 2},
		{"by action", &heimdrahtv1.ListRecordsRequest{Action: "Read Person"}, 2},
		{"by actor", &heimdrahtv1.ListRecordsRequest{Actor: provisionertest.Planner}, 4}, // a second factor set up, signed in, two refusals
		{"of nobody", &heimdrahtv1.ListRecordsRequest{Person: "nobody"}, 0},
	} {
		if got := w.list(t, w.admin, c.r); len(got) != c.want {
			t.Errorf("%s: %d records instead of %d:\n%s", c.name, len(got), c.want, strings.Join(lines(got), "\n"))
		}
	}
}

// Pages go on where the former one ended, and a page that nobody gave is refused.
func TestPagesOfTheAuditLog(t *testing.T) {
	w := newAuditWorld(t)
	ctx := provisionertest.As(t.Context(), w.Operator)
	seen := make(map[string]bool)
	for token := ""; ; {
		answer, err := w.audit.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{Limit: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.GetRecords() {
			id := fmt.Sprint(r.GetChain(), r.GetSeq())
			if seen[id] {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		}
		if token = answer.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(seen) < 8 || !seen["stadt1"] || !seen["nachbar1"] || !seen["1"] {
		t.Errorf("seen: %v", seen)
	}
	for _, token := range []string{"x", "MSAyIDM=", strings.Repeat("A", 1000)} {
		_, err := w.audit.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{PageToken: token})
		expect(t, token, err, "invalid")
	}
}

// Nothing of another tenant, nor of the installation, reaches a tenant's administrator: not
// in a list, not in an export, not in a refusal.
func TestTheAuditLogsOfTenantsNeverMeet(t *testing.T) {
	w := newAuditWorld(t)
	ctx := provisionertest.As(t.Context(), w.admin)
	_, err := w.audit.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{Tenant: provisionertest.Other})
	expect(t, "listing another tenant's", err, "not-allowed")
	_, _, err = w.export(t.Context(), w.admin, provisionertest.Other)
	expect(t, "exporting another tenant's", err, "not-allowed")
	_, _, err = w.export(t.Context(), w.admin, "no-such-tenant")
	expect(t, "exporting one that does not exist", err, "not-allowed")

	answer, err := w.audit.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{Limit: 1000, Until: nil})
	if err != nil {
		t.Fatal(err)
	}
	begin, chains, err := w.export(t.Context(), w.admin, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(chains) != 1 || len(chains[provisionertest.Tenant]) < 5 {
		t.Errorf("exported chains: %v", chains)
	}
	text := protojson.Format(answer) + protojson.Format(begin)
	for _, r := range chains[provisionertest.Tenant] {
		text += string(r.GetPayload())
		if r.GetTenant() != provisionertest.Tenant {
			t.Errorf("a record of %q", r.GetTenant())
		}
	}
	// What the administrator herself asked for stands in her own records; nothing else does.
	text = strings.ReplaceAll(text, `"id":"`+provisionertest.Other+`"`, "")
	for _, foreign := range []string{provisionertest.Other, provisionertest.Stranger, "create operator token"} {
		if strings.Contains(text, foreign) {
			t.Errorf("%q is in what the administrator of %s gets:\n%s", foreign, provisionertest.Tenant, text)
		}
	}

	// A tenant that does not exist is none to an operator either.
	_, _, err = w.export(t.Context(), w.Operator, "no-such-tenant")
	expect(t, "the operator's export of one that does not exist", err, "not-found")
}

// An export ends with the record of itself, goes up to what was signed, and needs a reason.
func TestExportOfTheAuditLog(t *testing.T) {
	w := newAuditWorld(t)
	stream, err := w.audit.Export(provisionertest.As(t.Context(), w.Operator), &heimdrahtv1.ExportRequest{Reason: " "})
	if err == nil {
		_, err = stream.Recv()
	}
	expect(t, "without a reason", err, "reason-missing")
	for _, tenant := range []string{"", provisionertest.Other} {
		begin, chains, err := w.export(t.Context(), w.Operator, tenant)
		if err != nil {
			t.Fatal(err)
		}
		own := chains[tenant]
		e, err := audit.DecodeEvent(own[len(own)-1].GetPayload())
		if err != nil || e.Action != "export audit log" || e.Reason != "audit of the year" || e.Actor.Kind != "operator" {
			t.Errorf("the last record is %+v, %v", e, err)
		}
		c := begin.GetCheckpoint()
		if c.GetComplete() != (tenant == "") || tenant == "" && len(c.GetHeads()) != 3 {
			t.Errorf("the checkpoint is %v", c)
		}
		check := audit.Checkpoint{
			Installation: c.GetInstallation(), At: time.UnixMilli(c.GetAtMs()), Complete: c.GetComplete(), Key: audit.KeyID(c.GetKeyId()), Signature: c.GetSignature(),
		}
		for _, h := range c.GetHeads() {
			check.Heads = append(check.Heads, audit.ChainHead{Chain: h.GetChain(), Head: audit.Head{Seq: h.GetSeq(), Hash: audit.Hash(h.GetHash())}})
			list := chains[h.GetChain()]
			if last := list[len(list)-1]; last.GetSeq() != h.GetSeq() || string(last.GetHash()) != string(h.GetHash()) {
				t.Errorf("the chain %q ends with %d, signed is %d", h.GetChain(), last.GetSeq(), h.GetSeq())
			}
		}
		key, err := w.audit.GetKey(provisionertest.As(t.Context(), w.admin), &heimdrahtv1.GetKeyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if err := check.Check(ed25519.PublicKey(key.GetPublicKeys()[0])); err != nil {
			t.Error(err)
		}
	}
}
