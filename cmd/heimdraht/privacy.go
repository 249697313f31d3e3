package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type personHistoryCommand struct {
	ID      string `arg:"" name:"id" help:"${person_id}"`
	Tenant  string `placeholder:"NAME" help:"${person_tenant}"`
	Purpose string `required:"" enum:"fault,security-incident,request-of-the-person" placeholder:"fault|security-incident|request-of-the-person" help:"${person_purpose}"`
	because
}

// Run shows the sessions of one person in the last seven days.
func (c *personHistoryCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht person history")
	if err != nil {
		return err
	}
	purpose := map[string]heimdrahtv1.Purpose{
		"fault": heimdrahtv1.Purpose_PURPOSE_FAULT, "security-incident": heimdrahtv1.Purpose_PURPOSE_SECURITY_INCIDENT,
		"request-of-the-person": heimdrahtv1.Purpose_PURPOSE_REQUEST_OF_THE_PERSON,
	}[c.Purpose]
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.privacy.GetHistory(ctx, &heimdrahtv1.GetHistoryRequest{PersonId: c.ID, Tenant: c.Tenant, Purpose: purpose, Reason: reason})
		if err != nil {
			return err
		}
		if len(r.GetSessions()) == 0 {
			a.hint(words{"Keine Verbindung in den letzten sieben Tagen.", "No session in the last seven days."})
		}
		if err := list(a.printer, "sessions", historyColumns(), r.GetSessions()); err != nil {
			return err
		}
		a.hint(words{"Dieser Blick ist protokolliert.", "This look was recorded."})
		return nil
	})
}

func historyColumns() []column[*heimdrahtv1.PastSession] {
	type session = *heimdrahtv1.PastSession
	return []column[session]{
		{"opened_at", words{"von", "from"}, func(s session) any { return timeOf(s.GetOpenedAt()) }},
		{"closed_at", words{"bis", "to"}, func(s session) any { return timeOf(s.GetClosedAt()) }},
		{"closed_why", words{"beendet", "ended"}, func(s session) any { return s.GetClosedWhy() }},
		{"device_name", words{"Laptop", "laptop"}, func(s session) any { return s.GetDeviceName() }},
		{"gateway", words{"Zugangsserver", "gateway"}, func(s session) any { return s.GetGateway() }},
		{"addresses", words{"Adressen", "addresses"}, func(s session) any { return s.GetAddresses() }},
		{"device_id", words{}, func(s session) any { return s.GetDeviceId() }},
	}
}

type personExportCommand struct {
	ID     string `arg:"" optional:"" name:"id" help:"${person_export_id}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
	Reason string `placeholder:"TEXT" help:"${person_export_reason}"`
}

// Run hands out everything that is kept of a person, as JSON: what is kept is no table.
func (c *personExportCommand) Run(ctx context.Context, a *app) error {
	if c.ID != "" && c.Reason == "" {
		return usageError{words{"--reason fehlt: Der Grund wird protokolliert", "--reason is missing: the reason is recorded"}.in(a.language), "heimdraht person export"}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		stream, err := k.privacy.ExportPerson(ctx, &heimdrahtv1.ExportPersonRequest{PersonId: c.ID, Tenant: c.Tenant, Reason: c.Reason})
		if err != nil {
			return err
		}
		var person *heimdrahtv1.Person
		var sections []*heimdrahtv1.PersonalSection
		for {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if r.GetPerson() != nil {
				person = r.GetPerson()
			}
			sections = added(sections, r.GetSection())
		}
		return a.json(orderedObject{{"person", object(personColumns(), person)}, {"exported_at", forPrograms(time.Now())}, {"kept", sectionObjects(sections)}})
	})
}

// added puts the rows of a section behind those of the same table.
func added(sections []*heimdrahtv1.PersonalSection, s *heimdrahtv1.PersonalSection) []*heimdrahtv1.PersonalSection {
	if s == nil {
		return sections
	}
	i := slices.IndexFunc(sections, func(v *heimdrahtv1.PersonalSection) bool { return v.GetTable() == s.GetTable() })
	if i < 0 {
		return append(sections, s)
	}
	sections[i].Rows = append(sections[i].Rows, s.GetRows()...)
	return sections
}

func sectionObjects(sections []*heimdrahtv1.PersonalSection) []orderedObject {
	all := []orderedObject{}
	for _, s := range sections {
		rows := []orderedObject{}
		for _, r := range s.GetRows() {
			var row orderedObject
			for _, c := range r.GetCells() {
				row = append(row, pair{c.GetName(), c.GetValue()})
			}
			rows = append(rows, row)
		}
		all = append(all, orderedObject{
			{"table", s.GetTable()}, {"what", s.GetWhat()}, {"why", s.GetWhy()}, {"kept_until", s.GetKeptUntil()}, {"seen_by", s.GetSeenBy()},
			{"when_forgotten", s.GetWhenForgotten()}, {"rows", rows},
		})
	}
	return all
}

type personForgetCommand struct {
	ID     string `arg:"" name:"id" help:"${person_id}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
	because
}

// Run forgets a person who has no access any more.
func (c *personForgetCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht person forget")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.privacy.ForgetPerson(ctx, &heimdrahtv1.ForgetPersonRequest{PersonId: c.ID, Tenant: c.Tenant, Reason: reason})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, []column[*heimdrahtv1.ForgetPersonResponse]{
				{"tenant", words{}, func(r *heimdrahtv1.ForgetPersonResponse) any { return r.GetTenant() }},
				{"devices", words{}, func(r *heimdrahtv1.ForgetPersonResponse) any { return r.GetDevices() }},
				{"elsewhere", words{}, func(r *heimdrahtv1.ForgetPersonResponse) any { return r.GetElsewhere() }},
				{"in_directory", words{}, func(r *heimdrahtv1.ForgetPersonResponse) any { return r.GetInDirectory() }},
			}, r)
		}
		a.say(words{"In %s vergessen, mit %d Laptops.", "Forgotten in %s, with %d laptops."}, r.GetTenant(), r.GetDevices())
		if r.GetElsewhere() {
			a.say(words{"Andere Verwaltungen kennen die Person noch.", "Other tenants still know the person."})
		}
		if r.GetInDirectory() {
			a.say(words{"Das Verzeichnis führt die Person noch unter denen, die Zugang haben dürfen: Sie wird wieder bekannt, ohne Laptop, sobald es das nächste Mal gelesen wird.",
				"The directory still has the person among those who may have access: with its next reading she will be known again, without a laptop."})
		}
		a.say(words{"Was bleiben muss und wie lange, steht in docs/datenschutz.md. Sicherungen von vorher vergessen sie beim Einspielen.",
			"What has to stay, and for how long, stands in docs/data-protection.md. Backups from before forget her when they are restored."})
		return nil
	})
}

type deviceLostCommand struct {
	deviceArg
	because
	waiting

	Stolen bool   `help:"${device_stolen}"`
	Since  string `placeholder:"2027-01-31T18:00" help:"${device_since}"`
}

// Run revokes a lost laptop, reports it, and says until when it has to be decided
// whether the authority is told.
func (c *deviceLostCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht device lost"
	reason, err := c.reason(a, command)
	if err != nil {
		return err
	}
	wait, err := c.milliseconds(a, command)
	if err != nil {
		return err
	}
	since, ok := lostAt(c.Since, time.Now())
	if !ok {
		return usageError{words{"--since ist eine Dauer (3h, 2d), ein Tag (2027-01-31) oder ein Zeitpunkt (2027-01-31T18:00)",
			"--since is a duration (3h, 2d), a day (2027-01-31) or a time (2027-01-31T18:00)"}.in(a.language), command}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait+20*time.Second)
	defer cancel()
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var r *heimdrahtv1.ReportLostResponse
		err := a.while(words{"warte auf die Zugangsserver ...", "waiting for the gateways ..."}, func() (err error) {
			r, err = k.privacy.ReportLost(ctx, &heimdrahtv1.ReportLostRequest{DeviceId: c.ID, Reason: reason, Stolen: c.Stolen, Since: since, WaitMs: wait})
			return err
		})
		if err != nil {
			return err
		}
		t := taken{devices: devicesOf(r.GetDevice()), confirmations: r.GetConfirmations(), one: true}
		switch a.form {
		case formJSON:
			err = a.json(orderedObject{
				{"report", object(lostColumns(), r.GetReport())}, {"device", object(deviceColumns(), r.GetDevice())},
				{"confirmations", objects(confirmationColumns(), t.confirmations)}, {"confirmed", t.confirmed()},
			})
		case formCSV:
			err = card(a.printer, lostColumns(), r.GetReport())
		default:
			a.say(words{"%s (%s): Zugang entzogen", "%s (%s): revoked"}, r.GetDevice().GetName(), r.GetDevice().GetDeviceId())
			a.sayConfirmations(t.confirmations, true)
			a.sayLost(r.GetReport())
		}
		if err != nil || t.confirmed() {
			return err
		}
		return problem(codeNotConfirmed, words{"Nicht jeder Zugangsserver hat bestätigt.", "Not every gateway has confirmed."},
			words{"Gemeldet ist der Laptop. Wiederholen Sie den Befehl: Er wartet noch einmal.", "The laptop is reported. Repeat the command: it waits again."})
	})
}

// lostAt is a time that somebody typed; minutes will do.
func lostAt(typed string, now time.Time) (*timestamppb.Timestamp, bool) {
	if t, err := time.ParseInLocation("2006-01-02T15:04", typed, time.Local); err == nil {
		return timestamppb.New(t), true
	}
	return instant(typed, now)
}

func (a *app) sayLost(l *heimdrahtv1.LostReport) {
	switch l.GetConnected() {
	case "yes":
		a.say(words{"Er war seither verbunden.", "It was connected since."})
	case "no":
		a.say(words{"Er war seither nicht verbunden.", "It was not connected since."})
	default:
		a.say(words{"Ob er seither verbunden war, ist nicht bekannt (--since sagt, seit wann er weg ist; länger als sieben Tage wird nichts behalten).",
			"Whether it was connected since is not known (--since says since when it is gone; nothing is kept for longer than seven days)."})
	}
	a.say(words{"Gemeldet für die oder den Datenschutzbeauftragten. Ist ein Risiko für Menschen nicht auszuschließen, muss die Aufsichtsbehörde bis %s davon wissen (72 Stunden, Art. 33 DSGVO).",
		"Reported for the data protection officer. If a risk to people cannot be ruled out, the supervisory authority has to be told by %s (72 hours, Art. 33 GDPR)."},
		a.time(timeOf(l.GetNotifyUntil())))
}

func lostColumns() []column[*heimdrahtv1.LostReport] {
	type report = *heimdrahtv1.LostReport
	return []column[report]{
		{"reported_at", words{"gemeldet", "reported"}, func(r report) any { return timeOf(r.GetReportedAt()) }},
		{"notify_until", words{"Frist", "notify by"}, func(r report) any { return timeOf(r.GetNotifyUntil()) }},
		{"tenant", words{"Verwaltung", "tenant"}, func(r report) any { return r.GetTenant() }},
		{"device_name", words{"Laptop", "laptop"}, func(r report) any { return r.GetDeviceName() }},
		{"person_name", words{"Person", "person"}, func(r report) any { return r.GetPersonName() }},
		{"stolen", words{"gestohlen", "stolen"}, func(r report) any { return r.GetStolen() }},
		{"lost_since", words{"weg seit", "lost since"}, func(r report) any { return timeOf(r.GetLostSince()) }},
		{"connected", words{"seither verbunden", "connected since"}, func(r report) any { return connectedOf(r.GetConnected()) }},
		{"access_ended_at", words{"Zugang zu Ende", "access ended"}, func(r report) any { return timeOf(r.GetAccessEndedAt()) }},
		{"access_ends_at", words{}, func(r report) any { return timeOf(r.GetAccessEndsAt()) }},
		{"reason", words{"Grund", "reason"}, func(r report) any { return r.GetReason() }},
		{"reported_by", words{}, func(r report) any { return r.GetReportedBy() }},
		{"person_id", words{}, func(r report) any { return r.GetPersonId() }},
		{"device_id", words{}, func(r report) any { return r.GetDeviceId() }},
		{"report_id", words{}, func(r report) any { return r.GetReportId() }},
	}
}

func connectedOf(c string) any {
	switch c {
	case "yes":
		return shown{c, words{"ja", "yes"}}
	case "no":
		return shown{c, words{"nein", "no"}}
	case "unknown":
		return shown{c, words{"unbekannt", "unknown"}}
	}
	return c // of a newer server
}

type lostCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// Run lists the reports of lost laptops.
func (c *lostCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		all, err := pages(func(token string) ([]*heimdrahtv1.LostReport, string, error) {
			r, err := k.privacy.ListLost(ctx, &heimdrahtv1.ListLostRequest{Tenant: c.Tenant, Limit: wholePage, PageToken: token})
			return r.GetReports(), r.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		if len(all) == 0 {
			a.hint(words{"Kein Laptop ist als verloren gemeldet.", "No laptop is reported as lost."})
		}
		return list(a.printer, "reports", lostColumns(), all)
	})
}

type unusedCommand struct {
	Days   uint32 `default:"90" placeholder:"90" help:"${unused_days}"`
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
	Limit  int    `default:"0" placeholder:"N" help:"${sessions_limit}"`
}

// wholePage is how many rows one call asks for.
const wholePage = 1000

// Run lists access that nobody uses, for review, and says how it is taken.
func (c *unusedCommand) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 {
		return usageError{words{"--limit ist negativ", "--limit is negative"}.in(a.language), "heimdraht unused"}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		all, err := pages(func(token string) ([]*heimdrahtv1.UnusedDevice, string, error) {
			r, err := k.privacy.ListUnused(ctx, &heimdrahtv1.ListUnusedRequest{Tenant: c.Tenant, Days: c.Days, Limit: wholePage, PageToken: token})
			return r.GetDevices(), r.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		total := len(all)
		if c.Limit > 0 && total > c.Limit {
			all = all[:c.Limit]
		}
		if err := list(a.printer, "devices", unusedColumns(), all, pair{"total", total}); err != nil {
			return err
		}
		if total == 0 {
			a.hint(words{"Kein Zugang ist seit %d Tagen ungenutzt.", "No access has been unused for %d days."}, c.Days)
			return nil
		}
		tenant := c.Tenant
		if tenant == "" {
			tenant = words{"VERWALTUNG", "TENANT"}.in(a.language)
		}
		a.hint(words{"%d Laptops. Zugang, der ruht, ist nicht dabei. Nach der Durchsicht: heimdraht access revoke --tenant %s --unused-days %d --reason '…' (erst mit --dry-run).",
			"%d laptops. Suspended access is not among them. After the review: heimdraht access revoke --tenant %s --unused-days %d --reason '…' (first with --dry-run)."},
			total, tenant, c.Days)
		return nil
	})
}

func unusedColumns() []column[*heimdrahtv1.UnusedDevice] {
	type device = *heimdrahtv1.UnusedDevice
	return []column[device]{
		{"device_name", words{"Laptop", "laptop"}, func(d device) any { return d.GetDeviceName() }},
		{"person_name", words{"Person", "person"}, func(d device) any { return d.GetPersonName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(d device) any { return d.GetTenant() }},
		{"enrolled_on", words{"angemeldet", "enrolled"}, func(d device) any { return d.GetEnrolledOn() }},
		{"last_used_on", words{"zuletzt benutzt", "last used"}, func(d device) any { return d.GetLastUsedOn() }},
		{"person_unused", words{"auch sonst nichts", "nothing else either"}, func(d device) any { return d.GetPersonUnused() }},
		{"serial_number", words{}, func(d device) any { return d.GetSerialNumber() }},
		{"person_id", words{"Person-ID", "person id"}, func(d device) any { return d.GetPersonId() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(d device) any { return d.GetDeviceId() }},
	}
}

// pages asks for one page after the other.
func pages[T any](ask func(token string) ([]T, string, error)) (all []T, err error) {
	for token := ""; ; {
		page, next, err := ask(token)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			return all, nil
		}
		if next == token {
			return nil, fmt.Errorf("page %q of a list leads to itself", next)
		}
		token = next
	}
}
