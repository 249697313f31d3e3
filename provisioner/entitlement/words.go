package entitlement

import (
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// change is a word that says something new.
type change struct {
	tenant *provisioner.Tenant
	word   Word
	fresh  bool // nobody has known of her in any tenant
	loses  bool
	why    provisioner.WhyNot
}

// own reports whether the right is lost by a change of the person's own entry.
func (c change) own() bool { return c.word.Own && c.why != provisioner.WhyGroup }

// reader turns what a mirror has into words, for one look at it.
type reader struct {
	mirror  *mirror.Mirror
	plan    *plan
	missing map[int][]string
	now     time.Time
	held    map[string]store.HeldLoss // by person and tenant
}

func heldKey(person, tenant string) string { return person + " " + tenant }

// changes compares somebody with how she is known: nothing, if the directory says what it said.
func (r *reader) changes(directory, stableID string, known store.KnownPerson, own bool) []change {
	var list []change
	said := map[string]bool{}
	if person, there := r.mirror.Person(stableID); there {
		person.Directory = directory
		for _, m := range r.plan.tenantsOf(r.mirror, person) {
			t := &r.plan.tenants[m.tenant]
			former := standingIn(known.Standings, t.Name)
			if len(m.groups) == 0 && former == nil {
				continue // nobody has asked for her, and she is nobody's staff
			}
			said[t.Name] = true
			person.Groups, person.MissingGroups = m.groups, r.missing[m.tenant]
			list = r.add(list, t, WordOf(person, own), known, former)
		}
	}
	for _, former := range known.Standings {
		if said[former.Tenant] {
			continue
		}
		if i := slices.IndexFunc(r.plan.tenants, func(t provisioner.Tenant) bool { return t.Name == former.Tenant }); i >= 0 {
			list = r.add(list, &r.plan.tenants[i], Gone(known.Person, own), known, &former)
		}
	}
	return list
}

func standingIn(list []provisioner.Standing, tenant string) *provisioner.Standing {
	for i := range list {
		if list[i].Tenant == tenant {
			return &list[i]
		}
	}
	return nil
}

// add appends a word unless it says nothing new.
func (r *reader) add(list []change, tenant *provisioner.Tenant, w Word, known store.KnownPerson, former *provisioner.Standing) []change {
	if former == nil {
		return append(list, change{tenant: tenant, word: w, fresh: known.Person.ID == ""})
	}
	said := w.standing(*tenant, *former, r.now)
	c := change{tenant: tenant, word: w, loses: former.Entitled && !said.Entitled, why: tenant.WhyNot(said, r.now)}
	named := w.Person
	named.ID = known.Person.ID
	sameName := w.Ended == provisioner.WhyDeleted || named == known.Person
	switch {
	case !sameName:
	case former.Held && c.loses:
		h, held := r.held[heldKey(former.Person, tenant.Name)]
		if held && (h.Confirmed || h.Why == c.why) && (h.DismissedUntil.IsZero() || r.now.Before(h.DismissedUntil)) {
			return list
		}
	case !former.Held && saysTheSame(*former, said):
		return list
	}
	return append(list, c)
}

// saysTheSame compares all but when it was read.
func saysTheSame(a, b provisioner.Standing) bool {
	return slices.Equal(a.Groups, b.Groups) && a.Ended == b.Ended && a.EndsAt.Equal(b.EndsAt) && a.Password == b.Password &&
		a.PasswordEndsAt.Equal(b.PasswordEndsAt) && a.PasswordChangedAt.Equal(b.PasswordChangedAt) && a.Entitled == b.Entitled
}
