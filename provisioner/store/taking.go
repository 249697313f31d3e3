package store

import (
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Selection says whose devices are meant: those that fit everything that is
// given.
type Selection struct {
	Tenant       string `json:"tenant,omitempty"` // empty: every tenant
	Person       string `json:"person,omitempty"`
	Gateway      string `json:"gateway,omitempty"` // with an open session there
	AgentVersion string `json:"agent_version,omitempty"`
	// UnusedSince: those that have access and were not in use since then.
	UnusedSince time.Time `json:"unused_since,omitzero"`
}

// Whole reports that it means everything of a person or tenant.
func (v Selection) Whole() bool {
	return v.Gateway == "" && v.AgentVersion == "" && v.UnusedSince.IsZero()
}

// Source is who takes access with a suspension of what is selected. Each selection
// takes and gives back its own, whatever its devices are by then.
func (v Selection) Source() provisioner.SuspensionSource {
	var of []string
	switch {
	case v.Person != "":
		of = append(of, "person")
	case v.Tenant != "":
		of = append(of, "tenant")
	}
	if v.Gateway != "" {
		of = append(of, "gateway "+strconv.Quote(v.Gateway))
	}
	if v.AgentVersion != "" {
		of = append(of, "version "+strconv.Quote(v.AgentVersion))
	}
	if !v.UnusedSince.IsZero() {
		of = append(of, "unused")
	}
	return provisioner.SuspendedByHelpdesk + provisioner.SuspensionSource(" "+strings.Join(of, ", "))
}

// onlyUnused is said with the action of what takes unused access alone: a program
// of the version before, which does not know that, does not take all then.
const onlyUnused = " where unused"

// where is the condition that a device d fits, and that an action has something
// to do with it. What is to be given back is found by what took it: a laptop that rests
// is on no gateway, and may have another version by now.
func (v Selection) where(a *args, action provisioner.Action) string {
	list := []string{"d.revoked_at = 0"}
	add := func(condition, value string) {
		if value != "" {
			list = append(list, strings.ReplaceAll(condition, "?", a.add(value)))
		}
	}
	add("d.tenant = ?", v.Tenant)
	add("d.person = ?", v.Person)
	if action == provisioner.ActionRestoreDevice {
		add("exists (select 1 from suspension u where u.device = d.id and u.source = ?)", string(v.Source()))
		return strings.Join(list, " and ")
	}
	add("d.agent_version = ?", v.AgentVersion)
	add("exists (select 1 from session s where s.device = d.id and s.gateway = ? and s.closed_at = 0)", v.Gateway)
	if !v.UnusedSince.IsZero() {
		list = append(list, unused(a, "d", v.UnusedSince))
	}
	return strings.Join(list, " and ")
}

// Selected counts the devices that an action would do something with, and whose
// they are.
func (r *Reader) Selected(v Selection, action provisioner.Action) (devices, people int64, err error) {
	type row struct{ devices, people int64 }
	var a args
	query := `select count(*), count(distinct d.person) from device d where ` + v.where(&a, action)
	n, err := one(r.q, func(s scanner) (n row, err error) { err = s.Scan(&n.devices, &n.people); return n, err }, query, a.list...)
	return n.devices, n.people, err
}

// Taking is the taking, or giving back, of many devices' access.
type Taking struct {
	ID        string
	Action    provisioner.Action
	Selection Selection
	Reason    string
	Actor     provisioner.Actor // who does it
	EndsAt    time.Time         // of a suspension; zero: never

	CreatedAt   time.Time
	Cursor      string
	Total, Done int64
	FinishedAt  time.Time // zero: not yet
}

const selectTaking = `select id, action, selection, reason, actor, ends_at, created_at, cursor, total, done, finished_at from taking `

func scanTaking(s scanner) (t Taking, err error) {
	var selection, actor string
	var ends, created, finished int64
	if err := s.Scan(&t.ID, &t.Action, &selection, &t.Reason, &actor, &ends, &created, &t.Cursor, &t.Total, &t.Done, &finished); err != nil {
		return t, err
	}
	t.EndsAt, t.CreatedAt, t.FinishedAt = at(ends), at(created), at(finished)
	t.Action = provisioner.Action(strings.TrimSuffix(string(t.Action), onlyUnused))
	if err := fromJSON(selection, &t.Selection); err != nil {
		return t, err
	}
	return t, fromJSON(actor, &t.Actor)
}

// AddTaking keeps what is to be done.
func (w *Writer) AddTaking(t Taking) error {
	selection, err := toJSON(t.Selection)
	if err != nil {
		return err
	}
	actor, err := toJSON(t.Actor)
	if err != nil {
		return err
	}
	action := string(t.Action)
	if !t.Selection.UnusedSince.IsZero() {
		action += onlyUnused
	}
	return run(w.q, `insert into taking (id, action, selection, reason, actor, ends_at, created_at, cursor, total, done, finished_at)
		values ($1, $2, $3, $4, $5, $6, $7, '', $8, 0, 0)`, t.ID, action, selection, t.Reason, actor, ms(t.EndsAt), ms(w.Now), t.Total)
}

// Taking reads one; ErrNone if there is none.
func (r *Reader) Taking(id string) (Taking, error) {
	return one(r.q, scanTaking, selectTaking+`where id = $1`, id)
}

// OpenTakings lists those that are not finished, the oldest first.
func (r *Reader) OpenTakings(limit int) ([]Taking, error) {
	return all(r.q, scanTaking, selectTaking+`where finished_at = 0 order by created_at limit $1`, limit)
}

// NextOf lists the next devices of a taking. Those that were enrolled after it
// began are left out; but what rests is given back, whatever its keys.
func (r *Reader) NextOf(t Taking, limit int) ([]provisioner.Device, error) {
	var a args
	query := selectDevice + `where ` + t.Selection.where(&a, t.Action)
	if t.Action != provisioner.ActionRestoreDevice {
		query += ` and d.enrolled_at <= ` + a.add(ms(t.CreatedAt))
	}
	query += ` and d.id > ` + a.add(t.Cursor) + ` order by d.id limit ` + a.add(limit)
	return r.devices(query, a.list...)
}

// DebtsOfAll is DebtsOf of several devices, as the revision by which each
// gateway has followed.
func (r *Reader) DebtsOfAll(devices []provisioner.Device) (map[string]int64, error) {
	if len(devices) == 0 {
		return nil, nil
	}
	type debt struct {
		gateway  string
		revision int64
	}
	var a args
	list, err := all(r.q, func(s scanner) (d debt, err error) { err = s.Scan(&d.gateway, &d.revision); return d, err },
		`select s.gateway, max(s.closed_revision) from session s cross join allocation a
		left join gateway_contact c on c.gateway = s.gateway
		where s.device`+a.in(idsOf(devices))+` and s.closed_revision > 0
			and (c.gateway is null or c.epoch <> a.epoch or c.revision < s.closed_revision)
		group by s.gateway`, a.list...)
	owed := make(map[string]int64, len(list))
	for _, d := range list {
		owed[d.gateway] = d.revision
	}
	return owed, err
}

// MoveTaking notes how far a taking has come, and what gateways owe for it.
func (w *Writer) MoveTaking(t Taking, owed map[string]int64) error {
	for gateway, revision := range owed {
		if err := run(w.q, `insert into taking_gateway (taking, gateway, revision) values ($1, $2, $3)
			on conflict (taking, gateway) do update set revision = excluded.revision`, t.ID, gateway, revision); err != nil {
			return err
		}
	}
	return run(w.q, `update taking set cursor = $1, done = $2, finished_at = $3 where id = $4`, t.Cursor, t.Done, ms(t.FinishedAt), t.ID)
}

// DebtsOfTaking lists what gateways owe for a taking, whether or not they have
// paid.
func (r *Reader) DebtsOfTaking(id string) ([]Debt, error) {
	return all(r.q, func(s scanner) (d Debt, err error) { err = s.Scan(&d.Gateway, &d.Revision); return d, err },
		`select gateway, revision from taking_gateway where taking = $1 order by gateway`, id)
}

// ForgetTakings deletes those that were finished before t.
func (w *Writer) ForgetTakings(t time.Time) error {
	if err := run(w.q, `delete from taking_gateway where taking in (select id from taking where finished_at > 0 and finished_at < $1)`, ms(t)); err != nil {
		return err
	}
	return run(w.q, `delete from taking where finished_at > 0 and finished_at < $1`, ms(t))
}

// SuspensionsEnded lists devices of which a suspension by the helpdesk is over.
func (r *Reader) SuspensionsEnded(now time.Time, limit int) ([]string, error) {
	return all(r.q, value[string], `select device from suspension where ends_at > 0 and ends_at <= $1 and source like $2 order by ends_at limit $3`,
		ms(now), string(provisioner.SuspendedByHelpdesk)+"%", limit)
}
