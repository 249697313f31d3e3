package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ExplainRequest says whose connection is to be explained. The first of Device,
// Person and Query that is given counts.
type ExplainRequest struct {
	Device string // id, or a unique beginning of it
	Person string // id
	Query  string // the beginning of a device's id, or whatever FindPeople takes
	Tenant string // empty: every tenant that the caller sees
}

// Explained is why somebody's connection does not work.
type Explained struct {
	// Candidates are whom the query may mean, if it means more than one; all else
	// is empty then.
	Candidates []Found
	Person     Found
	Device     *Device // that it is about; nil: she has none
	Others     []Device
	Finding    diagnosis.Finding
}

// Explain finds out why somebody's connection does not work, and records the
// look. A query that means several people is answered with their names alone,
// which are no looks.
func (s *Service) Explain(ctx context.Context, actor provisioner.Actor, r ExplainRequest) (e Explained, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionExplain, provisioner.Object{}); refusal != nil {
		return e, refusal
	}
	if r.Device == "" && r.Person == "" && strings.TrimSpace(r.Query) == "" || len(r.Query) > maxQuery {
		return e, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Suche", "query").With("why", "sie ist leer oder zu lang", "it is empty or too long")
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		e = Explained{}
		about, err := s.meant(tx, actor, r)
		if err != nil || len(about.candidates) > 0 {
			e.Candidates = about.candidates
			return err
		}
		return s.explain(tx, about, &e)
	})
	if err != nil || len(e.Candidates) > 0 {
		return e, err
	}
	details := map[string]string{"cause": string(e.Finding.Cause.Code)}
	if e.Device != nil {
		details["device"] = access.Object(e.Device.Device).ID
	}
	return e, s.looked(ctx, actor, e.Person.Tenant, provisioner.ActionExplain,
		audit.Object{Kind: "person", ID: e.Person.Person.ID, Name: e.Person.Person.DisplayName}, details)
}

// about is whose connection it is.
type about struct {
	candidates []Found
	person     Found
	device     string // id; empty: which one follows from what is known of them
	asked      string // what was typed, by which one of her devices may be meant
}

// meant finds whose connection it is, among those whom the actor may look at.
func (s *Service) meant(tx *store.Reader, actor provisioner.Actor, r ExplainRequest) (a about, err error) {
	const action = provisioner.ActionExplain
	switch {
	case r.Device != "":
		return meantDevice(tx, actor, r.Device, r.Tenant)
	case r.Person != "":
		a.person, err = enrolment.FindPerson(tx, actor, action, r.Person, r.Tenant)
		return a, err
	}
	a, err = meantDevice(tx, actor, r.Query, r.Tenant)
	if _, refused := provisioner.AsRefusal(err); !refused {
		return a, err
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(strings.TrimSpace(r.Tenant))
	found, err := tx.FindPeople(scope, r.Query, defaultPeople)
	switch {
	case err != nil:
		return about{}, fmt.Errorf("finding who is meant: %w", err)
	case len(found) == 0:
		return about{}, provisioner.Refuse(provisioner.CodeNotFound).With("what", "Diesen Menschen oder Laptop", "person or laptop").
			With("name", "nichts passt auf die Suche", "nothing matches the search")
	case len(found) > 1:
		return about{candidates: found}, nil
	default:
		return about{person: found[0], asked: strings.ToLower(strings.TrimSpace(r.Query))}, nil
	}
}

func meantDevice(tx *store.Reader, actor provisioner.Actor, typed, tenant string) (a about, err error) {
	d, err := enrolment.FindDevice(tx, actor, provisioner.ActionExplain, typed)
	if err != nil {
		return a, err
	}
	if t := strings.TrimSpace(tenant); t != "" && t != d.Tenant {
		return a, provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(typed, 64)).With("what", "Dieses Gerät", "device")
	}
	a.device = d.ID
	a.person, err = enrolment.FindPerson(tx, actor, provisioner.ActionExplain, d.Person, d.Tenant)
	return a, err
}

// explain gathers what is known, and judges.
func (s *Service) explain(tx *store.Reader, a about, e *Explained) error {
	e.Person = a.person
	devices, err := tx.DevicesOf(a.person.Person.ID, a.person.Tenant)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	shown := make([]Device, len(devices))
	for i, d := range devices {
		if shown[i], err = show(tx, d, a.person.Person.DisplayName); err != nil {
			return err
		}
	}
	refusals, err := tx.RefusalsOf(a.person.Person, a.person.Tenant, shownRefusals)
	if err != nil {
		return fmt.Errorf("reading the last refusals: %w", err)
	}
	asked := false
	for i := range shown {
		if asked = asked || a.names(shown[i]); shown[i].ID == a.device || a.names(shown[i]) {
			asked, a.device = true, shown[i].ID
			break
		}
	}
	if a.device == "" {
		a.device = inQuestion(shown, refusals)
	}
	for i := range shown {
		if shown[i].ID == a.device {
			e.Device = &shown[i]
		} else {
			e.Others = append(e.Others, shown[i])
		}
	}
	facts, err := s.facts(tx, a.person, e.Device, refusals)
	if err != nil {
		return err
	}
	facts.OfDevice = asked
	e.Finding = diagnosis.Judge(facts)
	return nil
}

// names reports whether a search meant a device and no other of its person's.
func (a about) names(d Device) bool {
	if a.asked == "" {
		return false
	}
	known := []string{d.ID, strings.ToLower(d.SerialNumber), strings.ToLower(d.Name), strings.ToLower(d.PublicKey.String())}
	if d.Session != nil {
		known = append(known, d.Session.ID)
		for _, p := range d.Session.Addresses {
			known = append(known, p.Addr().String())
		}
	}
	return slices.Contains(known, a.asked)
}

// inQuestion is the device that somebody most likely means by a person: the one
// that is connected, else the one that was refused last, else the one that was
// enrolled last and is not revoked, else any. Empty: she has none.
// A phone without an agent always has a session, and is meant only where there is no laptop.
func inQuestion(devices []Device, refusals []store.RecentRefusal) string {
	if laptops := slices.DeleteFunc(slices.Clone(devices), func(d Device) bool { return d.Static() }); len(laptops) > 0 {
		devices = laptops
	}
	for _, d := range devices {
		if d.Session != nil {
			return d.ID
		}
	}
	living := slices.DeleteFunc(slices.Clone(devices), func(d Device) bool { return d.State() == provisioner.DeviceRevoked })
	for _, r := range refusals {
		if slices.ContainsFunc(living, func(d Device) bool { return d.ID == r.Device }) {
			return r.Device
		}
	}
	if len(living) == 0 {
		living = devices
	}
	if len(living) == 0 {
		return ""
	}
	return slices.MaxFunc(living, func(a, b Device) int { return a.EnrolledAt.Compare(b.EnrolledAt) }).ID
}

// facts reads everything else that the judgement needs.
func (s *Service) facts(tx *store.Reader, p Found, d *Device, refusals []store.RecentRefusal) (f diagnosis.Facts, err error) {
	f = diagnosis.Facts{Now: time.Now(), Version: s.Version}
	if f.Tenant, err = tx.Tenant(p.Tenant); err != nil {
		return f, fmt.Errorf("reading the tenant: %w", err)
	}
	switch rests, err := tx.TenantSuspended(p.Tenant, f.Now); {
	case err == nil:
		f.TenantRests = &rests
	case !errors.Is(err, store.ErrNone):
		return f, fmt.Errorf("reading whether the tenant's access rests: %w", err)
	}
	if err := readDirectory(tx, p, &f); err != nil {
		return f, err
	}
	for _, r := range refusals {
		cause, _, _ := strings.Cut(r.Cause, ": ") // the rest is an administrator's
		f.Refusals = append(f.Refusals, diagnosis.Refusal{At: r.At, Code: r.Code, Cause: cause, Device: r.Device})
	}
	if d != nil {
		f.Device = &d.Device
		if d.Session != nil {
			f.Session = &d.Session.Session
		}
		if f.Closed, err = tx.LastClosed(d.ID, shownClosed); err != nil {
			return f, fmt.Errorf("reading the device's last sessions: %w", err)
		}
	}
	if present := f.Tenant.HouseRules.Version; present != "" {
		acknowledged, _, err := tx.Acknowledged(p.Person.ID, p.Tenant)
		if err != nil {
			return f, fmt.Errorf("reading whether house rules are acknowledged: %w", err)
		}
		f.RulesUnread = acknowledged != present
	}
	return f, readPlaces(tx, p.Person.ID, &f)
}

// shownClosed is how many closed sessions are looked at. No more than their ends
// is told of them.
const shownClosed = 5

func readDirectory(tx *store.Reader, p Found, f *diagnosis.Facts) error {
	standing, err := tx.Standing(p.Person.ID, p.Tenant)
	switch {
	case err == nil:
		f.Standing = &standing
	case !errors.Is(err, store.ErrNone):
		return fmt.Errorf("reading what the directory said: %w", err)
	}
	following, err := tx.Following(f.Tenant.Directory)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("reading how the directory is followed: %w", err)
	}
	f.Directory = diagnosis.Directory{
		Name: f.Tenant.Directory, Live: following.IsLive(f.Now), HeardAt: following.HeardAt,
		StaffGroupMissing: provisioner.InGroup(following.MissingGroups, f.Tenant.StaffGroup),
	}
	return nil
}

// readQueue reads where a laptop stands that waits for a seat. One that has lost its
// connection has its place still, and something else is the matter with it.
func readQueue(tx *store.Reader, f *diagnosis.Facts) error {
	if f.Device == nil || !slices.ContainsFunc(f.Pools, func(o seat.Offer) bool { return o.Queued > 0 }) {
		return nil
	}
	place, err := tx.InQueue(f.Device.ID)
	if errors.Is(err, store.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range f.Pools {
		f.Pools[i].Own = f.Pools[i].Pool == place.Pool // a seat of it is held for her
	}
	f.Rests = place.Rests && place.LostAt.IsZero()
	if f.Waits = place.Waits() || f.Rests; !f.Waits || f.Rests {
		return nil
	}
	positions, err := tx.QueuePositions()
	for _, list := range positions {
		if at, ok := list[place.Device]; ok && (f.Position == 0 || at < f.Position) {
			f.Position = at
		}
	}
	return err
}

// readPlaces reads the pools and the gateways.
func readPlaces(tx *store.Reader, person string, f *diagnosis.Facts) error {
	claim := seat.Claim{Tenant: f.Tenant.Name, Person: person}
	if f.Standing != nil {
		claim.Class = f.Tenant.ClassOf(f.Standing.Groups)
	}
	var err error
	if f.Pools, err = tx.Offers(claim, f.Now); err != nil {
		return fmt.Errorf("reading the licence pools: %w", err)
	}
	if err := readQueue(tx, f); err != nil {
		return fmt.Errorf("reading the queue: %w", err)
	}
	gateways, err := tx.GatewaysOf(f.Tenant.Name)
	if err != nil {
		return fmt.Errorf("reading the gateways: %w", err)
	}
	if f.Session != nil && !slices.ContainsFunc(gateways, func(g store.GatewayState) bool { return g.Name == f.Session.Gateway }) {
		own, err := tx.Gateway(f.Session.Gateway)
		if err != nil {
			return fmt.Errorf("reading the session's gateway: %w", err)
		}
		gateways = append(gateways, own)
	}
	position, err := tx.Position()
	if err != nil {
		return fmt.Errorf("reading the epoch: %w", err)
	}
	for _, g := range gateways {
		seen := diagnosis.Gateway{Gateway: g.Gateway, Reachable: g.Reachable(f.Now), ContactAt: g.ContactAt}
		if g.Epoch == position.Epoch {
			seen.Revision = g.Revision
		}
		f.Gateways = append(f.Gateways, seen)
	}
	return nil
}
