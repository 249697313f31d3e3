package tenancy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// world is everything that is declared, by name.
type world struct {
	directories map[string]provisioner.Directory
	tenants     map[string]provisioner.Tenant
	pools       map[string]provisioner.LicencePool
	gateways    map[string]provisioner.Gateway
}

func worldOf(d *store.Declared) world {
	w := world{
		make(map[string]provisioner.Directory), make(map[string]provisioner.Tenant),
		make(map[string]provisioner.LicencePool), make(map[string]provisioner.Gateway),
	}
	for _, v := range d.Directories {
		w.put(v)
	}
	for _, v := range d.Tenants {
		w.put(v)
	}
	for _, v := range d.Pools {
		w.put(v)
	}
	for _, v := range d.Gateways {
		w.put(v.Gateway)
	}
	return w
}

func (w world) clone() world {
	return world{maps.Clone(w.directories), maps.Clone(w.tenants), maps.Clone(w.pools), maps.Clone(w.gateways)}
}

func (w world) put(object any) {
	switch v := object.(type) {
	case provisioner.Directory:
		w.directories[v.Name] = v
	case provisioner.Tenant:
		w.tenants[v.Name] = v
	case provisioner.LicencePool:
		w.pools[v.Name] = v
	case provisioner.Gateway:
		w.gateways[v.Name] = v
	}
}

// change is one object that is declared otherwise than it is stored.
type change struct {
	kind, name  string
	tenant      string // in whose log it stands; empty: the installation's
	isNew       bool
	was, now    any // the object as it is stored, zero if it is new, and as it is declared
	differences []Difference
}

// comparison goes through a declaration in the order in which it is written.
type comparison struct {
	actor   provisioner.Actor
	action  provisioner.Action
	before  world
	after   world // with what was compared so far
	changes []change
}

// compareAll lists what applying changes, in the order in which it is written:
// each object after those it names. It refuses what must not be, but for what
// use forbids (forbidden).
func compareAll(actor provisioner.Actor, action provisioner.Action, before world, d Declaration) ([]change, error) {
	c := &comparison{actor: actor, action: action, before: before, after: before.clone()}
	for _, v := range d.Directories {
		if err := c.directory(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Tenants {
		if err := c.tenant(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Pools {
		if err := c.pool(v); err != nil {
			return nil, err
		}
	}
	for _, v := range d.Gateways {
		if err := c.gateway(v); err != nil {
			return nil, err
		}
	}
	if err := c.after.checkProductPools(c.changes); err != nil {
		return nil, err
	}
	return c.changes, c.after.check(c.changes)
}

// object keeps the differences of one object; it reports whether there are any.
func (c *comparison) object(v change, was, now []field) (bool, error) {
	v.differences = []Difference{{Kind: v.kind, Name: v.name}}
	if !v.isNew {
		v.differences = compare(v.kind, v.name, was, now)
	}
	if len(v.differences) == 0 {
		return false, nil
	}
	if err := c.allow(v); err != nil {
		return false, err
	}
	c.changes = append(c.changes, v)
	c.after.put(v.now)
	return true, nil
}

// allow asks who may change this: everything is the operator's, but of a
// tenant that exists its administrator may change some fields.
func (c *comparison) allow(v change) error {
	if provisioner.Allow(c.actor, provisioner.ActionApplyInfrastructure, provisioner.Object{}) == nil {
		return nil
	}
	if v.tenant == "" || v.isNew {
		return provisioner.Refuse(provisioner.CodeNotAllowed)
	}
	if refusal := provisioner.Allow(c.actor, c.action, provisioner.Object{Tenant: v.tenant}); refusal != nil {
		return refusal
	}
	for _, d := range v.differences {
		if !adminMayChange(d.Field) {
			return provisioner.Refuse(provisioner.CodeNotAllowed).Because(fmt.Errorf("%s is the operator's to change", d.Field))
		}
		t := v.now.(provisioner.Tenant)
		if d.Field == fieldCallers && !t.GrantsAll(t.Policy.Callers) {
			return invalid(kindTenant, v.name, "policy.callers liegt nicht ganz in networks; mehr kann nur der Betrieb freigeben",
				"policy.callers is not all within networks; only the operator can let in more")
		}
		if d.Field == fieldPasswordHosts && !t.GrantsAll(t.Policy.PasswordHosts) {
			return invalid(kindTenant, v.name, "policy.password_hosts liegt nicht ganz in networks; mehr kann nur der Betrieb freigeben",
				"policy.password_hosts is not all within networks; only the operator can grant more")
		}
		// Gateways let everybody ask them: they would be a way to a neighbour's host.
		if d.Field == fieldNameServers && !t.GrantsAll(newNameServers(v.was.(provisioner.Tenant), t)) {
			return invalid(kindTenant, v.name, "policy.dns.servers liegt nicht ganz in networks; mehr kann nur der Betrieb freigeben",
				"policy.dns.servers is not all within networks; only the operator can grant more")
		}
	}
	return nil
}

// newNameServers are those that a declaration adds, as destinations.
func newNameServers(was, now provisioner.Tenant) (list []provisioner.Destination) {
	for _, d := range now.NameServers() {
		if !slices.Contains(was.NameServers(), d) {
			list = append(list, d)
		}
	}
	return list
}

// knows refuses, before it is compared, what is shared by tenants none of which is the
// actor's: or equal and unequal would tell of its existence.
func (c *comparison) knows(tenants []string) error {
	scope := provisioner.ScopeOf(c.actor, c.action)
	if _, everywhere := scope.Tenants(); everywhere {
		return nil
	}
	if slices.ContainsFunc(tenants, scope.Includes) {
		return nil
	}
	return provisioner.Refuse(provisioner.CodeNotAllowed)
}

func (c *comparison) directory(d provisioner.Directory) error {
	var users []string
	for _, t := range c.before.tenants {
		if t.Directory == d.Name {
			users = append(users, t.Name)
		}
	}
	if err := c.knows(users); err != nil {
		return err
	}
	was, exists := c.before.directories[d.Name]
	_, err := c.object(change{kind: kindDirectory, name: d.Name, isNew: !exists, was: was, now: d}, directoryFields(was), directoryFields(d))
	return err
}

func (c *comparison) tenant(t provisioner.Tenant) error {
	// Before it is compared, or equal and unequal would tell of its existence.
	if refusal := provisioner.Allow(c.actor, c.action, provisioner.Object{Tenant: t.Name}); refusal != nil {
		return refusal
	}
	was, exists := c.before.tenants[t.Name]
	changed, err := c.object(change{kind: kindTenant, name: t.Name, tenant: t.Name, isNew: !exists, was: was, now: t}, tenantFields(was), tenantFields(t))
	if err != nil || !changed {
		return err
	}
	if _, exists := c.after.directories[t.Directory]; !exists {
		return invalid(kindTenant, t.Name, "es gibt kein Verzeichnis %q", "there is no directory %q", t.Directory)
	}
	return nil
}

func (c *comparison) pool(p provisioner.LicencePool) error {
	was, exists := c.before.pools[p.Name]
	if err := c.knows(sharers(was)); err != nil {
		return err
	}
	changed, err := c.object(change{kind: kindPool, name: p.Name, isNew: !exists, was: was, now: p}, poolFields(was), poolFields(p))
	if err != nil || !changed {
		return err
	}
	return c.tenantsExist(kindPool, p.Name, sharers(p))
}

// sharers are the tenants that share a pool.
func sharers(p provisioner.LicencePool) []string {
	tenants := make([]string, len(p.Shares))
	for i, s := range p.Shares {
		tenants[i] = s.Tenant
	}
	return tenants
}

func (c *comparison) gateway(g provisioner.Gateway) error {
	was, exists := c.before.gateways[g.Name]
	if err := c.knows(was.Tenants); err != nil {
		return err
	}
	changed, err := c.object(change{kind: kindGateway, name: g.Name, isNew: !exists, was: was, now: g}, gatewayFields(was), gatewayFields(g))
	if err != nil || !changed {
		return err
	}
	return c.tenantsExist(kindGateway, g.Name, g.Tenants)
}

func (c *comparison) tenantsExist(kind, name string, tenants []string) error {
	for _, t := range tenants {
		if _, exists := c.after.tenants[t]; !exists {
			return invalid(kind, name, "tenants: es gibt keine Verwaltung %q", "tenants: there is no tenant %q", t)
		}
	}
	return nil
}

// check looks at everything together, of which changes are about to be made.
func (w world) check(changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := w.checkHelped(changes); err != nil {
		return err
	}
	if err := w.checkDomains(changes); err != nil {
		return err
	}
	return w.checkAddresses()
}

// checkHelped sees that those exist whom a provider's helpdesk helps.
func (w world) checkHelped(changes []change) error {
	for _, v := range changes {
		t, _ := v.now.(provisioner.Tenant)
		for _, name := range t.Provider.Tenants {
			if _, exists := w.tenants[name]; !exists {
				return invalid(kindTenant, t.Name, "provider.tenants nennt %q, und diese Verwaltung gibt es nicht", "provider.tenants names %q, and there is no such tenant", name)
			}
		}
	}
	return nil
}

// checkDomains sees that a mail domain leads to one tenant. Who wants the domain
// of another one is to blame, and of two that want it the second.
func (w world) checkDomains(changes []change) error {
	owners := make(map[string]string)
	keeps := func(t provisioner.Tenant, was []string) {
		for _, domain := range t.MailDomains {
			if slices.Contains(was, domain) {
				owners[domain] = t.Name
			}
		}
	}
	changed := make(map[string]bool)
	for _, v := range changes {
		if t, ok := v.now.(provisioner.Tenant); ok {
			changed[t.Name] = true
			keeps(t, v.was.(provisioner.Tenant).MailDomains)
		}
	}
	for _, t := range w.tenants {
		if !changed[t.Name] {
			keeps(t, t.MailDomains)
		}
	}
	for _, v := range changes {
		t, _ := v.now.(provisioner.Tenant)
		for _, domain := range t.MailDomains {
			if owner, taken := owners[domain]; taken && owner != t.Name {
				return invalid(kindTenant, t.Name, "die Maildomain %s gehört einer anderen Verwaltung", "the mail domain %s belongs to another tenant", domain)
			}
			owners[domain] = t.Name
		}
	}
	return nil
}

// checkAddresses sees that aggregates of gateways overlap nowhere, and inside
// networks of different tenants not on one gateway.
func (w world) checkAddresses() error {
	var aggregates []owned
	for _, name := range slices.Sorted(maps.Keys(w.gateways)) {
		aggregates = append(aggregates, aggregatesOf(w.gateways[name])...)
	}
	if p, q, found := overlap(aggregates); found {
		return invalid(kindGateway, strings.TrimPrefix(q.owner, kindGateway+" "), "aggregate %s überschneidet sich mit %s von %s", "its aggregate %s overlaps %s of %s", q.prefix, p.prefix, p.owner)
	}
	for _, name := range slices.Sorted(maps.Keys(w.gateways)) {
		g := w.gateways[name]
		inside := aggregatesOf(g)
		for _, tenant := range g.Tenants {
			for _, d := range w.tenants[tenant].AllDestinations() {
				inside = append(inside, owned{d.Prefix, kindTenant + " " + tenant})
			}
		}
		if p, q, found := overlap(inside); found {
			return invalid(kindGateway, name, "%s von %s und %s von %s überschneiden sich dort", "%s of %s and %s of %s overlap on it", p.prefix, p.owner, q.prefix, q.owner)
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

// forbidden refuses a change that use of the object forbids at present.
func (v change) forbidden(tx *store.Reader) error {
	switch now := v.now.(type) {
	case provisioner.Tenant:
		was := v.was.(provisioner.Tenant).Directory
		if v.isNew || was == now.Directory {
			return nil
		}
		has, err := tx.TenantHasPeople(now.Name)
		if err != nil || !has {
			return err
		}
		return invalid(kindTenant, now.Name, "das Verzeichnis kann so nicht wechseln: Personen aus %s haben sich schon angemeldet; heimdraht directory migrate --to-directory führt sie weiter",
			"the directory cannot be changed so: people have enrolled from %s; heimdraht directory migrate --to-directory carries them over", was)
	case provisioner.LicencePool:
		if v.isNew || v.was.(provisioner.LicencePool).Model == now.Model {
			return nil
		}
		held, err := tx.SeatsHeld(now.Name)
		if err != nil || held == 0 {
			return err
		}
		return invalid(kindPool, now.Name, "model kann nicht wechseln, solange %d Plätze belegt sind", "its model cannot change while %d seats are held", held)
	case provisioner.Gateway:
		if v.isNew || !v.moves() {
			return nil
		}
		g, err := tx.Gateway(now.Name)
		if err != nil || g.Open == 0 {
			return err
		}
		return invalid(kindGateway, now.Name, "aggregate kann nicht wechseln, solange %d Verbindungen offen sind", "its aggregate cannot change while %d sessions are open", g.Open)
	}
	return nil
}

// moves reports whether a gateway gets other addresses to give.
func (v change) moves() bool {
	now, ok := v.now.(provisioner.Gateway)
	if !ok || v.isNew {
		return false
	}
	was := v.was.(provisioner.Gateway)
	return was.AggregateV4 != now.AggregateV4 || was.AggregateV6 != now.AggregateV6
}
