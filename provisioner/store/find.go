package store

import (
	"cmp"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Match is by what a search found somebody.
type Match string

// What a search finds people by.
const (
	MatchName       Match = "name"
	MatchLogin      Match = "login"
	MatchMail       Match = "mail"
	MatchPersonID   Match = "person id"
	MatchDeviceName Match = "device name"
	MatchDeviceID   Match = "device id"
	MatchSerial     Match = "serial number"
	MatchKey        Match = "key"
	MatchSession    Match = "session id"
	MatchAddress    Match = "address"
)

// FoundPerson is one row of a search.
type FoundPerson struct {
	Person    provisioner.Person
	Tenant    string
	Devices   int64 // not revoked
	Connected bool
	MatchedBy Match // empty: she was not searched for
}

const foundColumns = `p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, `

// countDevices and countConnected count those of a person p in a tenant.
func countDevices(tenant string) string {
	return `(select count(*) from device d where d.person = p.id and d.tenant = ` + tenant + ` and d.revoked_at = 0)`
}

func countConnected(tenant string) string {
	return `(select count(*) from device d join session x on x.device = d.id and x.closed_revision = 0 where d.person = p.id and d.tenant = ` + tenant + `)`
}

func selectFound() string {
	return `select ` + foundColumns + `s.tenant, ` + countDevices("s.tenant") + `, ` + countConnected("s.tenant") + ` from standing s join person p on p.id = s.person `
}

func scanFound(s scanner) (FoundPerson, error) { return scanFoundAnd(s) }

func scanFoundAnd(s scanner, more ...any) (f FoundPerson, err error) {
	var connected int64
	err = s.Scan(append([]any{&f.Person.ID, &f.Person.Directory, &f.Person.StableID, &f.Person.Login, &f.Person.DisplayName, &f.Person.Mail,
		&f.Tenant, &f.Devices, &connected}, more...)...)
	f.Connected = connected > 0
	return f, err
}

// FindPeople lists people of tenants in scope whom the query means, at most
// limit. First come those whom an id, key, address, serial number, login, mail
// address or device's name means exactly; then those of whom every word of it
// begins a word of the name, login or mail address; then those who have every
// word somewhere, in their own texts or, of more than a letter, their devices'. Among equals those with
// devices come first, then it goes by name.
func (r *Reader) FindPeople(scope provisioner.Scope, query string, limit int) ([]FoundPerson, error) {
	words := Words(query)
	if len(words) == 0 || len(words) > MostWords {
		return nil, nil
	}
	found, enough, err := r.findExactly(scope, query, limit)
	if err != nil {
		return nil, err
	}
	if !enough && len(found) < limit {
		rest, err := r.findByText(scope, words, Fold(strings.Join(strings.Fields(typed(query)), " ")), limit)
		if err != nil {
			return nil, err
		}
		for _, f := range rest {
			if !slices.ContainsFunc(found, f.is) {
				found = append(found, f)
			}
		}
	}
	return found[:min(len(found), limit)], nil
}

// is tells the same person in the same tenant.
func (f FoundPerson) is(other FoundPerson) bool {
	return f.Person.ID == other.Person.ID && f.Tenant == other.Tenant
}

// mostRanked is among how many people, of equals those that come first by name,
// the ones with devices are put first: to count the devices of all whose name
// has an "e" would take longer than to find them.
const mostRanked = 1000

// findByText looks for words in the texts of people and devices. Every text is
// looked at once, for the longest word, and whoever has that one for the others:
// 29,000 and 40,000 texts are fewer than an index of all parts of words would be
// worth.
func (r *Reader) findByText(scope provisioner.Scope, words []string, whole string, limit int) ([]FoundPerson, error) {
	t := textQuery{whole: whole}
	for _, w := range words {
		t.scraps = append(t.scraps, scrapOf(w))
	}
	slices.SortStableFunc(t.scraps, func(x, y scrap) int { return cmp.Compare(len(y.ofPerson), len(x.ofPerson)) })
	if s := squeezed(plainLetters(whole)); len(words) > 1 && len(s) >= fewestOfSerial && numbered(s) {
		t.serial = s
	}
	query, values := t.build(scope, limit)
	return all(r.q, func(s scanner) (FoundPerson, error) {
		var fits int64
		var device string
		f, err := scanFoundAnd(s, &fits, &device)
		f.MatchedBy = t.matchedBy(f.Person, fits == 2, device)
		return f, err
	}, query, values...)
}

// fewestOfSerial is how many letters and digits with blanks among them may be of
// a serial number.
const fewestOfSerial = 4

// textQuery is a search for words.
type textQuery struct {
	scraps []scrap // the longest first
	whole  string  // folded
	serial string  // all of it squeezed, where that may be a serial number; else empty
}

// build puts the query together, and what its placeholders stand for.
func (t textQuery) build(scope provisioner.Scope, limit int) (query string, values []any) {
	a := new(args)
	first, others := t.scraps[0], t.scraps[1:]
	exact := func() string {
		return `case when lower(name) = ` + a.add(t.whole) + ` or serial_number <> '' and ` + squeezedSQL("serial_number") + ` = ` + a.add(squeezed(t.whole)) + ` then 2 else 1 end`
	}
	serial := func(column string) string {
		if t.serial == "" {
			return "1 = 0"
		}
		return column + " like " + a.add("%"+likeLiteral(t.serial)+"%") + " escape '!'"
	}

	// Whose devices have the first word, or the serial number, and how well. In two
	// steps, lest the engine go by the index of people, from row to row.
	query = `with m as materialized (select person, tenant, ` + exact() + ` as fits, case when ` + serial("search") + ` then 1 else 0 end as serial
			from device where ` + first.inDevice(a, "search") + ` or ` + serial("search") + `),
		d as (select person, tenant, max(fits) as fits, max(serial) as serial from m group by person, tenant), `

	// They, and those whose own texts have the first word. The tenant by no index:
	// few people are left here, and there may be hundreds of tenants.
	const columns = `p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, p.login_key, p.mail_key, p.search, s.tenant, `
	query += `c as (select ` + columns + `0 as fits, 0 as serial from person p cross join standing s
		where s.person = p.id and ` + first.inPerson(a, "p.search") + ` and ` + a.scope(scope, "(s.tenant || '')") + `
			and (p.id, s.tenant) not in (select person, tenant from d where serial = 1 or fits = 2)
		union all select ` + columns + `d.fits, d.serial from d cross join person p cross join standing s
		where p.id = d.person and s.person = d.person and s.tenant = d.tenant and ` + a.scope(scope, "(s.tenant || '')") +
		` and (d.serial = 1 or d.fits = 2 or not ` + first.inPerson(a, "p.search") + `)), `

	// Of them, those who have every word, and how well.
	query += `f as (select p.*, case when p.fits = 2 or p.login_key = ` + a.add(t.whole) + ` or p.mail_key = ` + a.add(t.whole) + ` then 0 when p.fits = 0`
	for _, s := range t.scraps {
		query += ` and ` + s.startsWord(a, "p.search")
	}
	query += ` then 1 else 2 end as place from c p where p.serial = 1 or 1 = 1`
	for _, s := range others {
		query += ` and (` + s.inPerson(a, "p.search") + ` or exists (` + deviceOfP + s.inDevice(a, "x.search") + `))`
	}
	query += ` order by place, p.display_name, p.id, p.tenant limit ` + a.add(mostRanked) + `)`

	// Of those, the first, each with the device that fits best.
	const order = ` order by p.place, case when p.devices > 0 then 0 else 1 end, p.display_name, p.id, p.tenant`
	query += ` select ` + foundColumns + `p.tenant, p.devices, ` + countConnected("p.tenant") + `, p.fits, coalesce((select name || ` + a.add("\n") + ` || serial_number
		from device x where x.person = p.id and x.tenant = p.tenant and (` + serial("x.search")
	for _, s := range t.scraps {
		query += ` or ` + s.inDevice(a, "x.search")
	}
	return query + `) order by ` + exact() + ` desc, revoked_at, id limit 1), '')
		from (select p.* from (select p.*, ` + countDevices("p.tenant") + ` as devices from f p) p` + order + ` limit ` + a.add(limit) + `) p` + order, a.list
}

// deviceOfP begins to look for a device of a person p in a tenant p.tenant.
const deviceOfP = `select 1 from device x where x.person = p.id and x.tenant = p.tenant and `

// matchedBy tells by what somebody was found; device is the name of the device
// that fits best and its serial number, empty if none does. exact tells that one
// of them is what was typed.
func (t textQuery) matchedBy(p provisioner.Person, exact bool, device string) Match {
	has := func(text string) bool {
		return !slices.ContainsFunc(t.scraps, func(s scrap) bool { return !s.in(text) })
	}
	name, number, _ := strings.Cut(device, "\n")
	switch {
	case exact && squeezed(strings.ToLower(number)) == squeezed(t.whole):
		return MatchSerial
	case exact:
		return MatchDeviceName
	case has(p.DisplayName):
		return MatchName
	case has(p.Login):
		return MatchLogin
	case has(p.Mail):
		return MatchMail
	case device == "" || has(p.DisplayName+" "+p.Login+" "+p.Mail):
		return MatchName
	case t.serial != "" && strings.Contains(squeezed(plainLetters(Fold(number))), t.serial),
		!has(name) && slices.ContainsFunc(t.scraps, func(s scrap) bool { return s.in(number) }):
		return MatchSerial
	default:
		return MatchDeviceName
	}
}
