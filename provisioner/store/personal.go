package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Personal says of one table that holds something of people which rows are whose,
// and what becomes of them when somebody is forgotten. What it holds, why and for
// how long says package privacy, in words.
type Personal struct {
	Table string
	// Columns are all of the table, with spaces between them.
	Columns string
	// Secret are those that nobody is shown, not even the person: with them
	// somebody could sign in.
	Secret string
	// Stay are those in which something of her may stand after she is forgotten.
	Stay string

	// Whose is the condition that a row is hers in a tenant: a name in braces
	// stands for a value, as subject.fill knows them.
	Whose string
	// Forget is what is done with her rows in a tenant, Also then with rows of others
	// that name her, and Last with what is hers whatever the tenant, once she is known
	// in no other. Empty: nothing.
	Forget, Also, Last string
}

// herDevices are the ids of her devices in the tenant.
const herDevices = `(select id from device where person = {person} and tenant = {tenant})`

// herProposals are those that she has made, or that are about her.
const herProposals = `tenant = {tenant} and (object = {person} or proposed_by = {person})`

// herTakings are those of a tenant that she has ordered, or that are about her.
const herTakings = `selection like {tenant-in-json} and (selection like {person-in-text} or actor like {person-in-text})`

// PersonalTables lists all tables that hold something of people, in the order in
// which somebody is forgotten: what refers to a row goes before it.
//
// The audit log is not among those that are deleted: see forgetaudit.go.
func PersonalTables() []Personal {
	return []Personal{
		{Table: "suspension", Columns: "device source reason since ends_at", Whose: `device in ` + herDevices, Forget: `delete from suspension where device in ` + herDevices},
		{Table: "person_suspension", Columns: "person tenant reason since ends_at",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from person_suspension where person = {person} and tenant = {tenant}`},
		{Table: "former_address", Columns: "device gateway address_index used_at",
			Whose: `device in ` + herDevices, Forget: `delete from former_address where device in ` + herDevices},
		{Table: "session", Columns: `id device tenant person gateway pool address_index key_version public_key stream revision opened_at lease_until renewed_at
				last_handshake received_bytes sent_bytes reported_handshake reported_received reported_sent reported_clock closed_at closed_why closed_revision key_of ends_at
				due_at due_until due_why class counted_at counted_bytes active_at idle_at look_at recall left_at`,
			Whose: `device in ` + herDevices, Forget: `delete from session where device in ` + herDevices},
		{Table: "seat_queue", Columns: "device tenant person class rank since stream heard_at lost_at offered_pool offered_class offered_until taken_since taken",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from seat_queue where person = {person} and tenant = {tenant}`},
		{Table: "static_peer", Columns: "device gateway pool address_index key_version gateway_key",
			Whose: `device in ` + herDevices, Forget: `delete from static_peer where device in ` + herDevices},
		// The key stays, whosesoever: one that is dead does not return.
		{Table: "used_key", Columns: "public_key owner", Stay: "public_key",
			Whose:  `owner in (select 'device ' || id from device where person = {person} and tenant = {tenant})`,
			Forget: `update used_key set owner = 'forgotten' where owner in (select 'device ' || id from device where person = {person} and tenant = {tenant})`},
		{Table: "change", Columns: "revision kind tenant gateway device session", Stay: "device session", Whose: `device in ` + herDevices},
		{Table: "recent_refusal", Columns: "id at tenant login person device code cause source", Whose: herRefusals, Forget: `delete from recent_refusal where ` + herRefusals},
		{Table: "diagnosis", Columns: "id device tenant sent_at words body",
			Whose: `device in ` + herDevices, Forget: `delete from diagnosis where device in ` + herDevices},
		// Who reported somebody else's is forgotten in it, and the record stays.
		{Table: "lost_device", Columns: "id tenant device person stolen reason reported_at reported_by lost_since connected ended_at ends_at",
			Whose: `tenant = {tenant} and (person = {person} or reported_by = {person})`,
			Forget: `update lost_device set device = case when person = {person} then '' else device end,
				reported_by = case when reported_by = {person} then '' else reported_by end,
				person = case when person = {person} then '' else person end where tenant = {tenant} and (person = {person} or reported_by = {person})`},
		{Table: "proposal", Columns: "id kind tenant object object_name details reason proposed_by proposed_name proposed_at expires_at",
			Whose: herProposals, Forget: `delete from proposal where ` + herProposals},
		{Table: "taking", Columns: "id action selection reason actor ends_at created_at cursor total done finished_at", Secret: "actor", Stay: "selection actor cursor", Whose: herTakings},
		{Table: "taken_alone", Columns: "actor tenant person at",
			Whose: `tenant = {tenant} and (person = {person} or actor = {person})`, Forget: `delete from taken_alone where tenant = {tenant} and (person = {person} or actor = {person})`},
		{Table: "held_loss", Columns: "person tenant why own since dismissed_until confirmed",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from held_loss where person = {person} and tenant = {tenant}`},
		// For whom she answers stays without her, and nobody answers for them any more.
		{Table: "external_person", Columns: "person tenant sponsor until reason ended_at",
			Whose:  `tenant = {tenant} and (person = {person} or sponsor = {person})`,
			Forget: `delete from external_person where person = {person} and tenant = {tenant}`,
			Also:   `update external_person set sponsor = '' where sponsor = {person} and tenant = {tenant}`},
		// Before that forgetSeats has freed her seats; one that the contract binds longer it has made nobody's.
		{Table: "named_seat", Columns: "pool person tenant assigned_at assigned_by used_at returned_at",
			Whose:  `tenant = {tenant} and (person = {person} or assigned_by = {person})`,
			Forget: `delete from named_seat where tenant = {tenant} and person = {person}`,
			Also:   `update named_seat set assigned_by = '' where assigned_by = {person} and tenant = {tenant}`},
		{Table: "tenant_move_person", Columns: "hash person former_id stable_id new_name new_login groups ended ends_at read_at due_at",
			Whose:  `person = {person} and hash in (select hash from tenant_move where tenant = {tenant})`,
			Forget: `delete from tenant_move_person where person = {person} and hash in (select hash from tenant_move where tenant = {tenant})`,
			Last:   `delete from tenant_move_person where person = {person}`},
		{Table: "tenant_move", Columns: "hash tenant former directory declaration unmapped_gone people reason proposed_by proposed_name proposed_at complete confirmed_at",
			Stay: "proposed_by proposed_name", Whose: `tenant = {tenant} and proposed_by = {person}`},
		{Table: "identity_change_person", Columns: "hash person former_id stable_id", Whose: `person = {person}`,
			Last: `delete from identity_change_person where person = {person}`},
		{Table: "identity_change", Columns: "hash directory people reason proposed_by proposed_name proposed_at confirmed_at",
			Stay: "proposed_by proposed_name", Whose: `proposed_by = {person}`},
		// Who invited stands there by name, as long as the invitation is kept.
		{Table: "invitation", Columns: "id token tenant person serial_number device_name invited_by created_at expires_at ended_at ended device handed_over",
			Secret: "token", Stay: "invited_by",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from invitation where person = {person} and tenant = {tenant}`},
		{Table: "acknowledgement", Columns: "person tenant version acknowledged_at device",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from acknowledgement where person = {person} and tenant = {tenant}`},
		// Whose it is can be told once it is approved.
		{Table: "waiting_laptop", Secret: "hash user_code", //nolint:gosec // names of columns
			Columns: `hash user_code tenant name serial_number platform agent_version public_key certificate_request source network
				begun_at expires_at kept_until state answer`,
			Whose:  `public_key in (select public_key from device where person = {person} and tenant = {tenant})`,
			Forget: `delete from waiting_laptop where public_key in (select public_key from device where person = {person} and tenant = {tenant})`},
		{Table: "device", Columns: `id tenant person generation name serial_number platform public_key agent_version enrolled_at certificate_not_after
				revoked_at revoked_why search static_until signed_in_at serial_by conditions`,
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from device where person = {person} and tenant = {tenant}`},
		{Table: "standing", Columns: "person tenant groups ended read_at ends_at password password_ends_at password_changed_at entitled lost_at due_at",
			Whose: `person = {person} and tenant = {tenant}`, Forget: `delete from standing where person = {person} and tenant = {tenant}`},
		{Table: "staff_token", Columns: "hash person name grants created_at expires_at tenant", Secret: "hash",
			Whose: `person = {person} and tenant in ({tenant}, '')`, Forget: `delete from staff_token where person = {person} and tenant in ({tenant}, '')`,
			Last: `delete from staff_token where person = {person}`},
		{Table: "one_time_token", Columns: "hash purpose subject created_at expires_at used_at", Secret: "hash",
			Whose: `purpose = 'factor' and subject = {person}`, Last: `delete from one_time_token where purpose = 'factor' and subject = {person}`},
		{Table: "throttle", Columns: "key failures since", Whose: `key{counts} or key{person-counts}`,
			Forget: `delete from throttle where key{counts}`, Last: `delete from throttle where key{person-counts}`},
		{Table: "recovery_code", Columns: "hash person", Secret: "hash", Whose: `person = {person}`, Last: `delete from recovery_code where person = {person}`},
		{Table: "factor", Columns: "person sealed last_step set_up_at", Secret: "sealed last_step", Whose: `person = {person}`,
			Last: `delete from factor where person = {person}`},
		{Table: "person", Columns: "id directory stable_id login display_name mail login_key mail_key search", Whose: `id = {person}`,
			Last: `delete from person where id = {person}`},
		{Table: "audit", Columns: "seq at tenant payload salt commitment hash number class", Stay: "payload", Whose: ``},
		{Table: "audit_record", Columns: "tenant seq number at class payload salt commitment hash", Stay: "payload", Whose: ``},
	}
}

// herRefusals are those that the helpdesk is shown of her.
const herRefusals = `((person = {person} and tenant = {tenant}) or (tenant = {tenant} and login in ({login}, {mail}) and login <> ''))`

// ImpersonalTables lists the tables that hold nothing of people, each with its
// columns, and why that is so where one might think otherwise.
func ImpersonalTables() map[string]string {
	return map[string]string{
		"allocation":          "id epoch revision horizon audit_seq audit_head instance audit_number",
		"sealed_key":          "purpose version sealed public created_at stage stage_at bridge",
		"directory":           "name declaration",
		"tenant":              "name directory declaration timed idle_below idle_after idle_in_crisis crisis_since crisis_reason",
		"mail_domain":         "domain tenant",
		"house_rules":         "tenant version german english declared_at",
		"licence_pool":        "name model seats burst running valid_from valid_until declaration held unused_guarantee unused_reserve queued waiting",
		"pool_share":          "pool tenant guarantee protected reserved entitled held queued waiting_crisis waiting_control waiting_ordinary",
		"pool_class":          "pool class reserve held",
		"pool_day":            "pool day peak peak_at", // numbers of people
		"gateway":             "name endpoint sessions aggregate_v4 aggregate_v6 masquerade public_key generation joined_at certificate_not_after agent_version open weight site throughput warn_at drain_since drain_by drain_why maintenance_from maintenance_until maintenance_why",
		"gateway_tenant":      "gateway tenant",
		"gateway_contact":     "gateway connected contact_at observed_at epoch revision replica removed rate cpu", // removed: ids of sessions, for seconds
		"address_block":       "gateway block tenant used",
		"schema_support":      "oldest",
		"duty":                "name holder fence beat", // holder: a replica
		"known_epoch":         "epoch revision",
		"directory_following": "directory state since heard_at changed_at reconciled_at people groups details", // numbers of people
		"audit_chain":         "tenant seq hash",
		"audit_checkpoint":    "number at chain seq hash key_id signature",
		"audit_collected":     "id seq number checkpoint",
		"taking_gateway":      "taking gateway revision",
		"tenant_suspension":   "tenant reason since ends_at",
		"product_present":     "replica tenant product version sessions", // numbers of sessions, without whose
		"product_replica":     "replica until",
		"product_peak":        "tenant product version hour sessions", // none below 5
		"product_pool":        "tenant pool",
		"usage_series":        "id kind name", // numbers of sessions and people, without whose
		"usage_interval":      "step at kind packed",
		"usage_day":           "series step day packed",
		"usage_state":         "id seen_at minutes_to hours_to days_to revision counted_at bytes",
		"usage_refused":       "replica minute tenant reason attempts people counted",
		"queue_move":          "at tenant more",
		// Numbers that planners are told, of what is declared.
		"warning":         "id kind of_kind name percent raised_at seen_at value capacity expected_at ended_at ended_why judged_to quiet_days known_ms spoilt",
		"warning_message": "number id warning body made_at attempts next_at failed_at given_up_at",
		"warning_state":   "id hours_to days_to",
	}
}

// Subject is somebody in a tenant, with what it takes to find all that is hers.
type Subject struct {
	Person provisioner.Person
	Tenant string
	// Counts are the keys under which her tries are counted in the tenant, and
	// PersonCounts those whatever the tenant.
	Counts, PersonCounts []string
}

// fill puts a subject's values in the place of the names in braces.
func (s Subject) fill(text string) (query string, a *args) {
	a = new(args)
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String(), a
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(s.value(a, name))
		text = after
	}
}

func (s Subject) value(a *args, name string) string {
	switch name {
	case "person":
		return a.add(s.Person.ID)
	case "tenant":
		return a.add(s.Tenant)
	case "login":
		return a.add(Fold(s.Person.Login))
	case "mail":
		return a.add(Fold(s.Person.Mail))
	case "person-in-text":
		return a.add("%" + s.Person.ID + "%")
	case "tenant-in-json":
		return a.add(`%"tenant":"` + s.Tenant + `"%`)
	case "counts":
		return a.in(append([]string{""}, s.Counts...))
	case "person-counts":
		return a.in(append([]string{""}, s.PersonCounts...))
	default:
		return "{" + name + "}" // no database takes that
	}
}

// Cell is one column of a row, as it is shown to the person whose it is.
type Cell struct{ Column, Value string }

// PersonalRows lists what a table holds of somebody in a tenant, except what is
// secret.
func (r *Reader) PersonalRows(p Personal, s Subject) ([][]Cell, error) {
	var columns []string
	for _, c := range strings.Fields(p.Columns) {
		if !slices.Contains(strings.Fields(p.Secret), c) {
			columns = append(columns, c)
		}
	}
	query, a := s.fill(`select ` + strings.Join(columns, ", ") + ` from ` + p.Table + ` where ` + p.Whose)
	return all(r.q, func(s scanner) ([]Cell, error) {
		values, places := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		if err := s.Scan(places...); err != nil {
			return nil, err
		}
		row := make([]Cell, len(columns))
		for i, c := range columns {
			row[i] = Cell{c, shownValue(c, values[i])}
		}
		return row, nil
	}, query, a.list...)
}

// shownValue is a value for people: a time as RFC 3339, and nothing for never.
func shownValue(column string, value any) string {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case int64:
		if !isTime(column) {
			return fmt.Sprint(v)
		}
		if v == 0 {
			return ""
		}
		return at(v).Format(time.RFC3339)
	default:
		return fmt.Sprint(v)
	}
}

// isTime tells the columns that hold times, by how they are called.
func isTime(column string) bool {
	for _, end := range []string{"_at", "until", "_after", "since", "_handshake", "_clock"} {
		if strings.HasSuffix(column, end) {
			return true
		}
	}
	return column == "at"
}

// Knows reports whether anything is known of somebody in a tenant.
func (r *Reader) Knows(s Subject) (bool, error) {
	n, err := one(r.q, value[int64], `select (select count(*) from standing where person = $1 and tenant = $2)
		+ (select count(*) from device where person = $3 and tenant = $4)`, s.Person.ID, s.Tenant, s.Person.ID, s.Tenant)
	return n > 0, err
}

// Elsewhere tells in how many other tenants somebody is known, or has devices.
func (r *Reader) Elsewhere(person, tenant string) (int64, error) {
	return one(r.q, value[int64], `select (select count(*) from standing where person = $1 and tenant <> $2)
		+ (select count(*) from device where person = $3 and tenant <> $4)`, person, tenant, person, tenant)
}

// ForgetEverything forgets somebody in a tenant, and as a person once no other tenant
// knows her: all but the audit log. Her access must have ended. What is forgotten is
// a change, so that the journal beside the backups learns of it.
func (w *Writer) ForgetEverything(s Subject) error {
	elsewhere, err := w.Elsewhere(s.Person.ID, s.Tenant)
	if err != nil {
		return err
	}
	// With the seats that were held for her.
	if err := w.dequeueAll(s.Person.ID, s.Tenant); err != nil {
		return fmt.Errorf("taking her laptops out of the queue: %w", err)
	}
	if err := w.forgetSeats(s.Person.ID, s.Tenant); err != nil {
		return fmt.Errorf("freeing named seats: %w", err)
	}
	for _, p := range PersonalTables() {
		for _, statement := range []struct {
			text string
			due  bool
		}{{p.Forget, true}, {p.Also, true}, {p.Last, elsewhere == 0}} {
			if statement.text == "" || !statement.due {
				continue
			}
			query, a := s.fill(statement.text)
			if err := run(w.q, query, a.list...); err != nil {
				return fmt.Errorf("forgetting in %s: %w", p.Table, err)
			}
		}
	}
	_, err = w.Record(provisioner.Change{Kind: provisioner.ChangeForgotten, Tenant: s.Tenant, Device: s.Person.ID})
	return err
}

// Forgotten lists who was forgotten, as far as changes are kept.
func (r *Reader) Forgotten() ([]provisioner.Change, error) {
	return all(r.q, func(s scanner) (provisioner.Change, error) {
		c := provisioner.Change{Kind: provisioner.ChangeForgotten}
		return c, s.Scan(&c.Device, &c.Tenant)
	}, `select device, tenant from change where kind = $1 order by revision`, string(provisioner.ChangeForgotten))
}
