package tenancy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// applying is one declaration on its way into the database.
type applying struct {
	tx     *store.Writer
	actor  provisioner.Actor
	action provisioner.Action
	reason string
	list   []Difference
}

func apply(tx *store.Writer, actor provisioner.Actor, action provisioner.Action, d Declaration, reason string) ([]Difference, error) {
	a := &applying{tx: tx, actor: actor, action: action, reason: reason}
	for _, v := range d.Directories {
		if err := a.directory(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Tenants {
		if err := a.tenant(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Pools {
		if err := a.pool(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Gateways {
		if err := a.gateway(v); err != nil {
			return nil, err
		}
	}
	if len(a.list) == 0 {
		return nil, nil
	}
	return a.list, a.checkAddresses()
}

// change keeps the differences of one object and records them; it reports
// whether there are any. A nil before means that the object is new.
func (a *applying) change(kind, name, tenant string, before, after []field) (bool, error) {
	list := []Difference{{Kind: kind, Name: name}}
	details := map[string]string{"new": "yes"}
	if before != nil {
		list = compare(kind, name, before, after)
		details = make(map[string]string)
		for _, d := range list {
			details[d.Field] = audit.CleanText(d.Before+" -> "+d.After, audit.ReasonLimit)
		}
	}
	if len(list) == 0 {
		return false, nil
	}
	if err := a.allow(tenant, before != nil, list); err != nil {
		return false, err
	}
	a.list = append(a.list, list...)
	return true, a.tx.Audit(store.Event{
		Actor: a.actor, Tenant: tenant, Action: string(provisioner.ActionApply),
		Object: audit.Object{Kind: kind, ID: name}, Reason: a.reason, Details: details,
	})
}

// allow asks who may change this: everything is the operator's, but of a
// tenant that exists its administrator may change some fields.
func (a *applying) allow(tenant string, exists bool, list []Difference) error {
	if provisioner.Allow(a.actor, provisioner.ActionApplyInfrastructure, provisioner.Object{}) == nil {
		return nil
	}
	if tenant == "" || !exists {
		return provisioner.Refuse(provisioner.CodeNotAllowed)
	}
	if refusal := provisioner.Allow(a.actor, a.action, provisioner.Object{Tenant: tenant}); refusal != nil {
		return refusal
	}
	for _, d := range list {
		if !adminMayChange(d.Field) {
			return provisioner.Refuse(provisioner.CodeNotAllowed).Because(fmt.Errorf("%s is the operator's to change", d.Field))
		}
	}
	return nil
}

// before gives the fields of a stored object, nil if there is none.
func before[T any](stored T, err error, fields func(T) []field) ([]field, error) {
	if errors.Is(err, store.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return fields(stored), nil
}

func (a *applying) directory(d provisioner.Directory) error {
	stored, err := a.tx.Directory(d.Name)
	old, err := before(stored, err, directoryFields)
	if err != nil {
		return fmt.Errorf("reading directory %s: %w", d.Name, err)
	}
	changed, err := a.change(kindDirectory, d.Name, "", old, directoryFields(d))
	if err != nil || !changed {
		return err
	}
	return a.tx.PutDirectory(d)
}

func (a *applying) tenant(t provisioner.Tenant) error {
	// Before it is compared, or equal and unequal would tell of its existence.
	if refusal := provisioner.Allow(a.actor, a.action, provisioner.Object{Tenant: t.Name}); refusal != nil {
		return refusal
	}
	stored, err := a.tx.Tenant(t.Name)
	old, err := before(stored, err, tenantFields)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", t.Name, err)
	}
	changed, err := a.change(kindTenant, t.Name, t.Name, old, tenantFields(t))
	if err != nil || !changed {
		return err
	}
	if _, err := a.tx.Directory(t.Directory); errors.Is(err, store.ErrNone) {
		return invalid(kindTenant, t.Name, "es gibt kein Verzeichnis %q", "there is no directory %q", t.Directory)
	} else if err != nil {
		return err
	}
	if old != nil && stored.Directory != t.Directory {
		has, err := a.tx.TenantHasPeople(t.Name)
		if err != nil {
			return err
		}
		if has {
			return invalid(kindTenant, t.Name, "das Verzeichnis kann nicht wechseln: Personen aus %s haben sich schon angemeldet", "the directory cannot be changed: people have enrolled from %s", stored.Directory)
		}
	}
	return a.tx.PutTenant(t)
}

func (a *applying) tenantsExist(kind, name string, tenants []string) error {
	for _, t := range tenants {
		if _, err := a.tx.Tenant(t); errors.Is(err, store.ErrNone) {
			return invalid(kind, name, "es gibt keine Verwaltung %q", "there is no tenant %q", t)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (a *applying) pool(p provisioner.LicencePool) error {
	stored, err := a.tx.Pool(p.Name)
	old, err := before(stored, err, poolFields)
	if err != nil {
		return fmt.Errorf("reading licence pool %s: %w", p.Name, err)
	}
	changed, err := a.change(kindPool, p.Name, "", old, poolFields(p))
	if err != nil || !changed {
		return err
	}
	tenants := make([]string, len(p.Shares))
	for i, s := range p.Shares {
		tenants[i] = s.Tenant
	}
	if err := a.tenantsExist(kindPool, p.Name, tenants); err != nil {
		return err
	}
	return a.tx.PutPool(p)
}

func (a *applying) gateway(g provisioner.Gateway) error {
	stored, err := a.tx.GatewayAndTenants(g.Name)
	old, err := before(stored.Gateway, err, gatewayFields)
	if err != nil {
		return fmt.Errorf("reading gateway %s: %w", g.Name, err)
	}
	changed, err := a.change(kindGateway, g.Name, "", old, gatewayFields(g))
	if err != nil || !changed {
		return err
	}
	moved := stored.AggregateV4 != g.AggregateV4 || stored.AggregateV6 != g.AggregateV6
	if old != nil && moved && stored.Open > 0 {
		return invalid(kindGateway, g.Name, "aggregate kann nicht wechseln, solange %d Verbindungen offen sind", "its aggregate cannot change while %d sessions are open", stored.Open)
	}
	if err := a.tenantsExist(kindGateway, g.Name, g.Tenants); err != nil {
		return err
	}
	if moved {
		if err := a.tx.ForgetAddresses(g.Name); err != nil {
			return err
		}
	}
	return a.tx.PutGateway(g)
}

// checkAddresses looks at everything together: aggregates of gateways must not
// overlap anywhere, inside networks of different tenants not on one gateway.
func (a *applying) checkAddresses() error {
	gateways, err := a.tx.Gateways()
	if err != nil {
		return err
	}
	all, err := a.tx.Tenants(provisioner.Everywhere())
	if err != nil {
		return err
	}
	tenants := make(map[string]provisioner.Tenant, len(all))
	for _, t := range all {
		tenants[t.Name] = t
	}
	var aggregates []owned
	for _, g := range gateways {
		aggregates = append(aggregates, aggregatesOf(g.Gateway)...)
	}
	if p, q, found := overlap(aggregates); found {
		return invalid(kindGateway, strings.TrimPrefix(q.owner, kindGateway+" "), "aggregate %s überschneidet sich mit %s von %s", "its aggregate %s overlaps %s of %s", q.prefix, p.prefix, p.owner)
	}
	for _, g := range gateways {
		inside := aggregatesOf(g.Gateway)
		for _, name := range g.Tenants {
			for _, n := range tenants[name].Networks {
				for _, d := range n.Allow {
					inside = append(inside, owned{d.Prefix, kindTenant + " " + name})
				}
			}
		}
		if p, q, found := overlap(inside); found {
			return invalid(kindGateway, g.Name, "%s von %s und %s von %s überschneiden sich dort", "%s of %s and %s of %s overlap on it", p.prefix, p.owner, q.prefix, q.owner)
		}
	}
	return nil
}

func aggregatesOf(g provisioner.Gateway) (list []owned) {
	if g.AggregateV4.IsValid() {
		list = append(list, owned{g.AggregateV4, kindGateway + " " + g.Name})
	}
	if g.AggregateV6.IsValid() {
		list = append(list, owned{g.AggregateV6, kindGateway + " " + g.Name})
	}
	return list
}
