package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// classified are the columns of each table, as store.PersonalTables and
// store.ImpersonalTables say.
func classified() map[string][]string {
	columns := make(map[string][]string)
	for table, list := range store.ImpersonalTables() {
		columns[table] = strings.Fields(list)
	}
	for _, p := range store.PersonalTables() {
		columns[p.Table] = strings.Fields(p.Columns)
	}
	return columns
}

// Of every column of the schema somebody has said whether it holds anything of
// people.
func TestEveryColumnIsClassified(t *testing.T) {
	const todo = `
Somebody has to decide whether it holds anything of people (a name, an id, a key, an address, when or why somebody did something), and write it down:
- if it does: in store.PersonalTables (provisioner/store/personal.go), with which rows are whose and what becomes of them when she is forgotten; in words,
  German and English, in privacy.Keepings (provisioner/privacy/words.go); and a row of hers in TestNothingIsLeftOfWhoIsForgotten. Then make generate.
- if it does not: in store.ImpersonalTables.`
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			open(t, o)
			schema, said := store.Columns(t, o), classified()
			for table, columns := range schema {
				for _, c := range columns {
					if !slices.Contains(said[table], c) {
						t.Errorf("nobody has classified column %s of table %s.%s", c, table, todo)
					}
				}
			}
			for table, columns := range said {
				for _, c := range columns {
					if !slices.Contains(schema[table], c) {
						t.Errorf("column %s of table %s is classified, and not there", c, table)
					}
				}
			}
		})
	}
	if n := len(store.PersonalTables()) + len(store.ImpersonalTables()); n != len(classified()) {
		t.Errorf("a table is classified twice: %d of %d", n, len(classified()))
	}
}

// her is somebody with a trace in every table that holds anything of people.
type her struct {
	subject store.Subject
	device  provisioner.Device
	session provisioner.Session
}

// everywhere makes somebody and leaves a trace of her in every table.
func everywhere(tx *store.Writer, n int) (h her, err error) {
	if h.device, err = laptop(tx, n); err != nil {
		return h, err
	}
	p, err := tx.Person(h.device.Person)
	if err != nil {
		return h, err
	}
	h.subject = store.Subject{Person: p, Tenant: "stadt", Counts: []string{"l:stadt/" + p.Login}, PersonCounts: []string{"p:stadt-ad/" + p.StableID}}
	if h.session, err = session(tx, h.device); err != nil {
		return h, err
	}
	if _, err := tx.CloseSessionOf(h.device.ID, provisioner.CodeSessionClosed); err != nil {
		return h, err
	}
	she := provisioner.Actor{ID: p.ID, Name: p.DisplayName, Grants: []provisioner.Grant{{Role: provisioner.RoleStaff, Tenant: "stadt"}}}
	_, err = tx.SuspendDevice(h.device, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: p.DisplayName})
	proposal := func(id, object, by string) error {
		return tx.PutProposal(store.Proposal{ID: id, Kind: "reset factor", Tenant: "stadt", Object: object, ObjectName: object, ProposedBy: by, ProposedName: by})
	}
	taken := store.Taking{ID: fmt.Sprint("taking", n), Action: provisioner.ActionSuspendDevice, Selection: store.Selection{Tenant: "stadt", Person: p.ID}, Actor: she}
	err = errors.Join(err, tx.NoteTakenAlone("somebody", "stadt", p.ID))
	_, err2 := tx.SuspendPerson(p.ID, "stadt", "leave", time.Time{})
	_, err3 := tx.PutLost(store.LostDevice{ID: fmt.Sprint("lost", n), Tenant: "stadt", Device: h.device.ID, Person: p.ID, ReportedBy: p.ID, ReportedAt: tx.Now})
	_, err4 := tx.AddStatic(store.StaticPeer{Device: h.device.ID, Gateway: "gw1", Pool: h.session.Pool, AddressIndex: h.session.AddressIndex, GatewayKey: h.device.PublicKey})
	if errors.Is(err4, store.ErrNone) { // it has an agent, so no session is opened
		err4 = nil
	}
	code := fmt.Sprintf("CODE%04d", n)
	_, err6 := tx.AddWaitingLaptop("code of "+p.ID, store.WaitingLaptop{UserCode: code, Tenant: "stadt", PublicKey: h.device.PublicKey, SerialNumber: h.device.SerialNumber,
		ExpiresAt: tx.Now.Add(time.Hour), KeptUntil: tx.Now.Add(time.Hour), State: store.LaptopWaits})
	trainee, err5 := tx.KeepPerson(provisioner.Person{ID: provisioner.NewID(), Directory: p.Directory, StableID: provisioner.NewID(), Login: fmt.Sprint("trainee", n), DisplayName: "A trainee"})
	return h, errors.Join(err, err2, err3, err4, err5, err6,
		tx.AnswerWaitingLaptop(code, store.WaitingAnswer{Device: h.device.ID, PersonName: p.DisplayName}),
		tx.AddInvitation("invitation of "+p.ID, provisioner.Invitation{
			ID: fmt.Sprint("invitation", n), Tenant: "stadt", Person: p.ID, SerialNumber: h.device.SerialNumber, InvitedBy: p.DisplayName, ExpiresAt: tx.Now.Add(time.Hour),
		}),
		tx.Acknowledge(p.ID, "stadt", "1", h.device.ID),
		tx.Enqueue(h.device.ID, seat.Claim{Tenant: "stadt", Person: p.ID}, "stream of "+p.ID),
		tx.PutExternal(provisioner.External{Person: p.ID, Tenant: "stadt", Sponsor: "boss"}),
		tx.PutExternal(provisioner.External{Person: trainee.ID, Tenant: "stadt", Sponsor: p.ID}),
		tx.AssignSeat(store.NamedSeat{Pool: "vpn", Person: p.ID, Tenant: "stadt", AssignedAt: tx.Now, AssignedBy: p.ID}),
		tx.PutHeldLoss(store.HeldLoss{Person: p, Tenant: "stadt", Why: provisioner.WhyGroup}),
		tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Person: p.ID, Device: h.device.ID, Code: "x"}),
		tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Login: p.Login, Code: "x"}),
		tx.AddRefusal(store.RecentRefusal{Tenant: "stadt", Login: p.Mail, Code: "x"}),
		proposal(fmt.Sprint("about", n), p.ID, "boss"), proposal(fmt.Sprint("by", n), fmt.Sprint("somebody", n), p.ID),
		tx.AddTaking(taken),
		tx.AddDiagnosis(store.Diagnosis{ID: fmt.Sprint("diagnosis", n), Device: h.device.ID, Tenant: "stadt", Words: "It does not work.", Body: "{}"}),
		tx.AddStaffToken("token "+p.ID, store.StaffToken{Person: p.ID, Tenant: "stadt", Name: p.DisplayName}),
		tx.AddOneTimeToken("once "+p.ID, store.TokenFactor, p.ID, tx.Now),
		tx.BeginFactor(p.ID, []byte("sealed")),
		tx.SetRecoveryCodes(p.ID, []string{"code"}),
		tx.Audit(store.Event{Actor: she, Tenant: "stadt", Action: "enrol", Object: audit.Object{Kind: "device", ID: h.device.ID, Name: h.device.Name}}),
		tx.Audit(store.Event{Actor: provisioner.System("x"), Tenant: "stadt", Action: "read person", Object: audit.Object{Kind: "person", ID: p.ID, Name: p.DisplayName}}),
		tx.Audit(store.Event{Actor: provisioner.System("x"), Tenant: "stadt", Action: "revoke device", Object: audit.Object{Kind: "device", ID: h.device.ID},
			Details: map[string]string{"person": p.ID}}),
		tx.Audit(store.Event{Actor: provisioner.Actor{ID: p.ID, Name: p.DisplayName, Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}},
			Tenant: "stadt", Action: "revoke device", Object: audit.Object{Kind: "device", ID: "another"}}),
	)
}

// traces are the columns in which something of somebody stands, by table.
func traces(t *testing.T, o store.Options, h her) map[string][]string {
	t.Helper()
	p := h.subject.Person
	needles := []string{
		p.ID, p.StableID, p.DisplayName, p.Mail, store.Fold(p.DisplayName), h.device.ID, h.device.SerialNumber, h.device.PublicKey.String(), h.session.ID,
	}
	found := make(map[string][]string)
	for table, columns := range store.Everything(t, o) {
		for _, c := range slices.Sorted(maps.Keys(columns)) {
			if slices.ContainsFunc(columns[c], func(text string) bool {
				// A login is short: it counts as a word of its own.
				return slices.ContainsFunc(needles, func(n string) bool { return strings.Contains(text, n) }) || text == p.Login || strings.HasSuffix(text, "/"+p.Login)
			}) {
				found[table] = append(found[table], c)
			}
		}
	}
	return found
}

// Whoever is forgotten stands nowhere any more but where store.PersonalTables says that she
// stays; somebody else is as she was, and so is she in another tenant.
func TestNothingIsLeftOfWhoIsForgotten(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			var she, other her
			update(t, s, func(tx *store.Writer) (err error) {
				if err := tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "stadt-ad"}); err != nil {
					return err
				}
				if she, err = everywhere(tx, 7001); err != nil {
					return err
				}
				other, err = everywhere(tx, 8002)
				return errors.Join(err, tx.PutStanding(provisioner.Standing{Person: she.subject.Person.ID, Tenant: "dorf", ReadAt: tx.Now}))
			})
			id, stable := she.subject.Person.ID, she.subject.Person.StableID
			for _, statement := range []string{ // of proposals that it takes a directory to make
				`insert into identity_change values ('h', 'stadt-ad', 1, 'x', $1, $2, 0, 0)`,
				`insert into identity_change_person values ('h', $1, $2, 'new')`,
				`insert into tenant_move values ('m', 'stadt', 'stadt-ad', 'stadt-ad', '{}', 0, 1, 'x', $1, $2, 0, 1, 0)`,
				`insert into tenant_move_person (hash, person, former_id, stable_id, new_name, new_login) values ('m', $1, $2, 'new', 'x', 'x')`,
				`insert into throttle values ($1, 1, 0)`,
			} {
				switch {
				case strings.Contains(statement, "throttle"):
					store.Exec(t, o, statement, she.subject.Counts[0])
					store.Exec(t, o, statement, she.subject.PersonCounts[0])
				default:
					store.Exec(t, o, statement, id, stable)
				}
			}
			store.Exec(t, o, `insert into audit (seq, at, tenant, payload, salt, commitment, hash) select 1, at, tenant, payload, salt, commitment, hash from audit_record where seq = 1`)
			before, others := traces(t, o, she), traces(t, o, other)
			for _, p := range store.PersonalTables() {
				if len(before[p.Table]) == 0 {
					t.Errorf("she left no trace in %s before she was forgotten: leave one in this test", p.Table)
				}
			}

			forget := func(tenant string) {
				subject := she.subject
				subject.Tenant = tenant
				update(t, s, func(tx *store.Writer) error {
					m, err := tx.MentionsOf(subject)
					own := m
					own.Own = true
					return errors.Join(err, tx.ShortenMentions(m, tx.Now.Add(time.Minute)), tx.ShortenMentions(own, tx.Now.Add(time.Minute)), tx.ForgetEverything(subject))
				})
			}
			forget("stadt")
			if left := traces(t, o, she); len(left["device"])+len(left["session"])+len(left["suspension"]) > 0 || len(left["person"]) == 0 || len(left["standing"]) == 0 || len(left["factor"]) == 0 {
				t.Errorf("another tenant knows her, and of her is left %v", left)
			}
			forget("dorf")
			for table, columns := range traces(t, o, she) {
				stays := ""
				for _, p := range store.PersonalTables() {
					if p.Table == table {
						stays = p.Stay
					}
				}
				for _, c := range columns {
					if !slices.Contains(strings.Fields(stays), c) {
						t.Errorf("%s.%s still has something of her, and nothing says that it stays: see store.PersonalTables", table, c)
					}
				}
			}
			if left := traces(t, o, other); fmt.Sprint(left) != fmt.Sprint(others) {
				t.Errorf("of somebody else is left\n%v\nthere was\n%v", left, others)
			}
			// Of the log only what she did to others.
			for _, text := range store.Everything(t, o)["audit_record"]["payload"] {
				if strings.Contains(text, id) && !strings.Contains(text, "another") {
					t.Error("the audit log still says ", text)
				}
			}
			records := view(t, s, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditRecords("stadt", 0, 100) })
			head := view(t, s, func(tx *store.Reader) (audit.Head, error) { return tx.AuditHead("stadt") })
			if _, err := audit.Verify(audit.Head{}, sequence(records), head); err != nil {
				t.Error("the audit log does not verify any more: ", err)
			}
			if list := view(t, s, (*store.Reader).Forgotten); len(list) != 2 || list[0].Device != id || list[0].Tenant != "stadt" {
				t.Errorf("who was forgotten: %v", list)
			}
		})
	}
}

// What is not forgotten is handed out whole, without what nobody may have.
func TestEverythingOfAPersonIsFound(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var she her
		update(t, s, func(tx *store.Writer) (err error) { she, err = everywhere(tx, 7001); return err })
		for _, p := range store.PersonalTables() {
			if p.Whose == "" {
				continue
			}
			rows := view(t, s, func(tx *store.Reader) ([][]store.Cell, error) { return tx.PersonalRows(p, she.subject) })
			for _, row := range rows {
				for _, c := range row {
					if slices.Contains(strings.Fields(p.Secret), c.Column) || strings.Contains(c.Value, "sealed") {
						t.Errorf("%s: %s is handed out", p.Table, c.Column)
					}
				}
			}
			switch p.Table {
			case "throttle", "identity_change", "identity_change_person", "tenant_move", "tenant_move_person":
			default:
				if len(rows) == 0 {
					t.Errorf("nothing of hers is found in %s", p.Table)
				}
			}
			if p.Table == "device" && !slices.Contains(rows[0], store.Cell{Column: "revoked_at", Value: ""}) {
				t.Errorf("a time that never was: %v", rows[0])
			}
		}
	})
}

// Sessions are deleted seven days after they ended, and open ones never.
func TestSessionsAreForgottenAfterAWeek(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		opened(t, s, 3)
		list := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
			return tx.SessionsIn(provisioner.Everywhere(), "", "", 10)
		})
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(list[0].Device, provisioner.CodeSessionClosed)
			return err
		})
		forget := func(t0 time.Time) (n int64) {
			update(t, s, func(tx *store.Writer) (err error) { n, err = tx.ForgetSessions(t0, 500); return err })
			return n
		}
		now := time.Now()
		if n := forget(now.Add(-time.Minute)); n != 0 {
			t.Errorf("%d sessions that ended a moment ago were deleted", n)
		}
		if n := forget(now.Add(time.Minute)); n != 1 {
			t.Errorf("%d sessions were deleted", n)
		}
		_, err := store.Read(t.Context(), s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(list[0].ID) })
		if !errors.Is(err, store.ErrNone) {
			t.Errorf("a session that was deleted: %v", err)
		}
	})
}

// Of a former address the day is known, and which was the last; not the time.
func TestTheLastUseIsADay(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			update(t, s, func(tx *store.Writer) error {
				g := gateway()
				g.Name, g.AggregateV4, g.AggregateV6 = "gw2", gateway().AggregateV4, gateway().AggregateV6
				return tx.PutGateway(g)
			})
			var d provisioner.Device
			update(t, s, func(tx *store.Writer) (err error) { d, err = laptop(tx, 1); return err })
			for _, gw := range []string{"gw1", "gw2", "gw1"} {
				update(t, s, func(tx *store.Writer) error {
					index, err := tx.TakeAddress(gw, "stadt", d.ID, address.Aggregate{V4: gateway().AggregateV4, V6: gateway().AggregateV6})
					return errors.Join(err, tx.FreeAddress(gw, d.ID, index))
				})
				if last := view(t, s, func(tx *store.Reader) (string, error) { return tx.FormerGateway(d.ID) }); last != gw {
					t.Errorf("after %s it was last on %s", gw, last)
				}
			}
			for _, text := range store.Everything(t, o)["former_address"]["used_at"] {
				var at int64
				if _, err := fmt.Sscan(text, &at); err != nil {
					t.Fatal(err)
				}
				if past := at % (24 * time.Hour).Milliseconds(); past > 10 {
					t.Errorf("%d ms of the day are kept", past)
				}
			}
			update(t, s, func(tx *store.Writer) error { return tx.ForgetAddresses("gw1") })
			update(t, s, func(tx *store.Writer) error {
				index, err := tx.TakeAddress("gw1", "stadt", d.ID, address.Aggregate{V4: gateway().AggregateV4, V6: gateway().AggregateV6})
				if index < 0 {
					t.Errorf("address %d", index)
				}
				return err
			})
		})
	}
}
