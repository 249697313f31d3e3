package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Declaration is what one or more files say.
type Declaration struct {
	Directories []provisioner.Directory
	Tenants     []provisioner.Tenant
	Pools       []provisioner.LicencePool
	Gateways    []provisioner.Gateway
}

// Diff says what Apply would change, and refuses what it would refuse. It only
// reads.
func (s *Service) Diff(ctx context.Context, actor provisioner.Actor, d Declaration) ([]Difference, error) {
	d, err := accept(actor, provisioner.ActionDiff, d)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, actor, provisioner.ActionDiff, d)
	if err != nil {
		return nil, err
	}
	return s.differences(ctx, actor, p.changes)
}

// Apply makes what is declared so, and says what it changed: in one transaction,
// or, where that would keep the database from others for too long, in slices. If
// one of them cannot be done, those before it stay (CodeApplyUnfinished), and
// applying again goes on from there. Once something is written it goes on to the
// end, even if ctx ends.
func (s *Service) Apply(ctx context.Context, actor provisioner.Actor, d Declaration, reason string) ([]Difference, error) {
	a, err := s.begin(actor, d, reason)
	if err != nil {
		return nil, err
	}
	err = a.finish(ctx)
	if s.Declared != nil {
		s.Declared()
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(d.Gateways))
	for i, g := range d.Gateways {
		names[i] = g.Name
	}
	// Those of this time are done: this is for one that was interrupted.
	if err := s.closeAstray(ctx, names); err != nil {
		return nil, err
	}
	return s.differences(ctx, actor, a.done)
}

// accept judges a declaration by itself, and gives it in its normal form.
func accept(actor provisioner.Actor, action provisioner.Action, d Declaration) (Declaration, error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return d, refusal
	}
	d = normal(d)
	if refusal := check(d); refusal != nil {
		return d, refusal
	}
	return d, nil
}

// plan is what is to be changed, and of what.
type plan struct {
	stored  *store.Declared
	before  world
	changes []change
}

func (s *Service) plan(ctx context.Context, actor provisioner.Actor, action provisioner.Action, d Declaration) (plan, error) {
	p, err := store.Read(ctx, s.Store, func(tx *store.Reader) (p plan, err error) {
		if p.stored, err = tx.Declared(); err != nil {
			return p, fmt.Errorf("reading what is declared: %w", err)
		}
		p.before = worldOf(p.stored)
		if p.changes, err = compareAll(actor, action, p.before, d); err != nil {
			return p, err
		}
		return p, forbidden(tx, p.changes)
	})
	if err != nil {
		return p, fmt.Errorf("%s: %w", action, err)
	}
	return p, nil
}

func forbidden(tx *store.Reader, changes []change) error {
	for _, v := range changes {
		if err := v.forbidden(tx); err != nil {
			return err
		}
	}
	return nil
}

// differences lists what changes, which pools are to drain for it, and which groups that it
// names nobody has.
func (s *Service) differences(ctx context.Context, actor provisioner.Actor, changes []change) (list []Difference, err error) {
	unknown := s.unknownGroups(ctx, actor, changes)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		list = nil
		for _, v := range changes {
			list = append(list, v.differences...)
			for _, d := range unknown {
				if d.Kind == v.kind && d.Name == v.name {
					list = append(list, d)
				}
			}
			if v.kind != kindPool || v.isNew {
				continue
			}
			was, now := v.was.(provisioner.LicencePool).At(time.Now()), v.now.(provisioner.LicencePool).At(time.Now())
			held, err := tx.SeatsHeld(v.name)
			if err != nil {
				return fmt.Errorf("reading the seats held of %s: %w", v.name, err)
			}
			if now.Most() < was.Most() && held > now.Most() {
				list = append(list, Difference{
					Kind: v.kind, Name: v.name, Field: "held", Before: number(held),
					After: fmt.Sprintf(inLanguage(actor, "läuft ab: Niemand wird getrennt, und es gibt keinen Platz, bis %d zurückgekommen sind",
						"drains: nobody is cut off, and no seat is given until %d have come back"), held-now.Most()),
				})
			}
		}
		return nil
	})
	return list, err
}

// applying is one declaration on its way into the database.
type applying struct {
	*Service
	actor  provisioner.Actor
	reason string
	id     string // holds the records of its slices together
	left   Declaration
	done   []change
}

func (s *Service) begin(actor provisioner.Actor, d Declaration, reason string) (*applying, error) {
	d, err := accept(actor, provisioner.ActionApply, d)
	if err != nil {
		return nil, err
	}
	return &applying{Service: s, actor: actor, reason: audit.CleanReason(reason), id: provisioner.NewID(), left: d}, nil
}

// finish writes all that is left.
func (a *applying) finish(ctx context.Context) error {
	begun := context.WithoutCancel(ctx)
	for {
		now := ctx
		if len(a.done) > 0 {
			now = begun
		}
		finished, err := a.next(now)
		if err != nil {
			return a.unfinished(err)
		}
		if finished {
			return nil
		}
	}
}

// errMoved says that something else was declared since it was compared.
var errMoved = errors.New("what is declared has changed meanwhile")

// next compares, without keeping anybody from the database, and writes a slice.
// It reports whether all is done.
func (a *applying) next(ctx context.Context) (finished bool, err error) {
	p, err := a.plan(ctx, a.actor, provisioner.ActionApply, a.left)
	if err != nil || len(p.changes) == 0 {
		return true, err
	}
	return a.slice(ctx, p)
}

// slice writes the first slice of a plan, if everything is still as it was
// compared; else nothing.
func (a *applying) slice(ctx context.Context, p plan) (finished bool, err error) {
	part := p.changes[:first(p.before, p.changes)]
	rest := len(p.changes) - len(part)
	err = a.Store.Update(ctx, func(tx *store.Writer) error {
		still, err := tx.StillDeclared(p.stored)
		if err != nil {
			return err
		}
		if !still {
			return errMoved
		}
		if err := forbidden(&tx.Reader, part); err != nil {
			return err
		}
		return a.write(tx, part, rest)
	})
	if errors.Is(err, errMoved) {
		return false, nil // compared again
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", provisioner.ActionApply, err)
	}
	a.done = append(a.done, part...)
	a.left = a.left.without(part)
	var gateways []string
	for _, v := range part {
		if v.kind == kindGateway {
			gateways = append(gateways, v.name)
		}
	}
	return rest == 0, a.closeAstray(ctx, gateways)
}

// without leaves out what was written: if somebody declares it otherwise
// meanwhile, the later word counts, and two who apply at the same time do not go
// on changing each other's for ever.
func (d Declaration) without(written []change) Declaration {
	names := make(map[[2]string]bool, len(written))
	for _, v := range written {
		names[[2]string{v.kind, v.name}] = true
	}
	return Declaration{
		Directories: remaining(d.Directories, func(v provisioner.Directory) bool { return names[[2]string{kindDirectory, v.Name}] }),
		Tenants:     remaining(d.Tenants, func(v provisioner.Tenant) bool { return names[[2]string{kindTenant, v.Name}] }),
		Pools:       remaining(d.Pools, func(v provisioner.LicencePool) bool { return names[[2]string{kindPool, v.Name}] }),
		Gateways:    remaining(d.Gateways, func(v provisioner.Gateway) bool { return names[[2]string{kindGateway, v.Name}] }),
	}
}

func remaining[T any](list []T, written func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), written)
}

// unfinished tells whoever reads a refusal that a part of it was done.
func (a *applying) unfinished(err error) error {
	if _, is := provisioner.AsRefusal(err); is && len(a.done) > 0 {
		return provisioner.Refuse(provisioner.CodeApplyUnfinished).Because(err)
	}
	return err
}

// write writes a slice and its records; rest is how many changes come after it.
func (a *applying) write(tx *store.Writer, part []change, rest int) error {
	for _, v := range part {
		if t, ok := v.now.(provisioner.Tenant); ok {
			if err := tx.ReleaseMailDomains(t.Name, givenUp(v.was.(provisioner.Tenant).MailDomains, t.MailDomains)); err != nil {
				return err
			}
		}
	}
	tenants := make([]string, len(part))
	for i, v := range part {
		tenants[i] = v.tenant
	}
	if err := tx.AuditAhead(tenants); err != nil {
		return err
	}
	for _, v := range part {
		if err := a.record(tx, v, rest); err != nil {
			return err
		}
		if err := put(tx, v); err != nil {
			return err
		}
	}
	return nil
}

// givenUp lists what is in was and not in now.
func givenUp(was, now []string) []string {
	return slices.DeleteFunc(slices.Clone(was), func(s string) bool { return slices.Contains(now, s) })
}

func put(tx *store.Writer, v change) error {
	switch now := v.now.(type) {
	case provisioner.Directory:
		return tx.PutDirectory(now)
	case provisioner.Tenant:
		was := v.was.(provisioner.Tenant)
		if err := tx.PutTenant(now, was); err != nil || v.isNew || now.SameAccess(was) {
			return err
		}
		return tx.RetellTenant(now.Name)
	case provisioner.LicencePool:
		return tx.PutPool(now, v.was.(provisioner.LicencePool))
	case provisioner.Gateway:
		if v.moves() {
			if err := tx.ForgetAddresses(now.Name); err != nil {
				return err
			}
		}
		return tx.PutGateway(now, v.was.(provisioner.Gateway))
	}
	return fmt.Errorf("nobody knows how to store a %s", v.kind)
}

// record puts a change into the audit log. Of one that is applied in slices each
// record names the whole, and how many changes were still to come: a log that
// ends with some says that it was not finished.
func (a *applying) record(tx *store.Writer, v change, rest int) error {
	details := make(map[string]string)
	if v.isNew {
		details["new"] = "yes"
	} else {
		for _, d := range v.differences {
			details[d.Field] = audit.CleanText(d.Before+" -> "+d.After, audit.ReasonLimit)
		}
	}
	if rest > 0 || len(a.done) > 0 {
		details["import"], details["still_to_come"] = a.id, strconv.Itoa(rest)
	}
	return tx.Audit(store.Event{
		Actor: a.actor, Tenant: v.tenant, Action: string(provisioner.ActionApply),
		Object: audit.Object{Kind: v.kind, ID: v.name}, Reason: a.reason, Details: details,
	})
}

// closeAstray ends the sessions of tenants that a gateway serves no longer. Nobody
// of them may stay on it: who comes after them may have the same networks. What
// made them so is written, so it goes on even if ctx ends.
func (s *Service) closeAstray(ctx context.Context, gateways []string) error {
	ctx = context.WithoutCancel(ctx)
	var astray []string
	if err := s.Store.View(ctx, func(tx *store.Reader) error {
		for _, name := range gateways {
			list, err := tx.SessionsAstray(name, 1)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				astray = append(astray, name)
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("looking for sessions of tenants that are served no longer: %w", err)
	}
	for _, name := range astray {
		if err := s.closeSessions(ctx, func(tx *store.Writer) ([]provisioner.Session, error) {
			return tx.SessionsAstray(name, slice)
		}); err != nil {
			return fmt.Errorf("after a change of gateway %s: %w", name, err)
		}
	}
	return nil
}
