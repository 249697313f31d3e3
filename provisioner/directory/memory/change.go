package memory

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Add adds the entries of an LDIF text, all or none. Whoever is added under the DN of somebody deleted is
// somebody else, unless the text carries the old stable id.
func (d *Directory) Add(ldif []byte) error {
	records, err := ParseLDIF(ldif)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var added []*entry
	fresh := map[string]bool{}
	for _, r := range records {
		folded, err := fold(r.DN)
		if err != nil {
			return fmt.Errorf("%q: %w", r.DN, err)
		}
		if d.entries[folded] != nil || fresh[folded] {
			return fmt.Errorf("%q is there already", r.DN)
		}
		fresh[folded] = true
		added = append(added, d.build(r, folded))
	}
	for _, e := range added {
		d.entries[e.folded] = e
		d.order = append(d.order, e)
		d.watchers.tell(changeAdd, e, "")
	}
	d.index()
	return nil
}

func (d *Directory) build(r Entry, folded string) *entry {
	values := map[string][]string{}
	var names []string
	for _, a := range r.Attributes {
		key := strings.ToLower(a.Name)
		if values[key] == nil {
			names = append(names, a.Name)
		}
		values[key] = append(values[key], a.Value)
	}
	e := newEntry(r.DN, folded)
	for _, name := range names {
		e.set(name, values[strings.ToLower(name)]...)
	}
	if id := d.flavour.StableID; e.attributes.First(strings.ToLower(id)) == "" {
		e.set(id, newID(d.flavour))
	}
	return e
}

// newID draws a stable id in the form of the flavour.
func newID(f directory.Flavour) string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	text := fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
	value, err := f.IDValue(text)
	if err != nil {
		return text
	}
	return value
}

// Delete removes an entry. Groups keep naming it, as they do in a directory until its own housekeeping has run.
func (d *Directory) Delete(dn string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(dn)
	if err != nil {
		return err
	}
	for _, other := range d.order {
		if other != e && directory.Under(other.folded, e.folded) {
			return fmt.Errorf("%q has entries below it", dn)
		}
	}
	delete(d.entries, e.folded)
	d.order = slices.DeleteFunc(d.order, func(o *entry) bool { return o == e })
	d.watchers.tell(changeDelete, e, "")
	d.index()
	return nil
}

// Rename gives an entry another DN, moving it if need be, and has groups follow, which some directories do at
// once. The attribute that the new name is made of is not changed.
func (d *Directory) Rename(dn, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(dn)
	if err != nil {
		return err
	}
	folded, err := fold(to)
	switch {
	case err != nil:
		return fmt.Errorf("%q: %w", to, err)
	case d.entries[folded] != nil && d.entries[folded] != e:
		return fmt.Errorf("%q is there already", to)
	}
	for _, group := range d.above(e.folded) {
		for _, attr := range []string{"member", "uniqueMember"} {
			members := slices.Clone(group.attributes[strings.ToLower(attr)])
			for i, m := range members {
				if foldFor("member", m) == e.folded {
					members[i] = to
				}
			}
			if len(members) > 0 {
				group.set(attr, members...)
			}
		}
	}
	groups, former := d.above(e.folded), e.dn
	delete(d.entries, e.folded)
	e.dn, e.folded = to, folded
	d.entries[folded] = e
	d.watchers.tell(changeModDN, e, former)
	for _, group := range groups {
		d.watchers.tell(changeModify, group, "")
	}
	d.index()
	return nil
}

// Set replaces the values of an entry's attribute; none: removes it.
func (d *Directory) Set(dn, attribute string, values ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(dn)
	if err != nil {
		return err
	}
	e.set(attribute, values...)
	d.watchers.tell(changeModify, e, "")
	d.index()
	return nil
}

// Join makes somebody, or a group, a direct member of a group. It is idempotent.
func (d *Directory) Join(group, member string) error {
	return d.changeMembers(group, func(members []string) []string {
		return append(without(members, member), member)
	})
}

// Leave ends a direct membership. It is idempotent.
func (d *Directory) Leave(group, member string) error {
	return d.changeMembers(group, func(members []string) []string { return without(members, member) })
}

func without(members []string, member string) []string {
	return slices.DeleteFunc(slices.Clone(members), func(m string) bool { return foldFor("member", m) == foldFor("member", member) })
}

func (d *Directory) changeMembers(group string, change func([]string) []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(group)
	if err != nil {
		return err
	}
	attribute := "member"
	if len(e.attributes["uniquemember"]) > 0 {
		attribute = "uniqueMember"
	}
	e.set(attribute, change(e.attributes[strings.ToLower(attribute)])...)
	d.watchers.tell(changeModify, e, "")
	d.index()
	return nil
}

// Disable ends somebody's right in the way of the flavour; Enable gives it back. Both are idempotent.
func (d *Directory) Disable(dn string) error { return d.switchAccount(dn, true) }

// Enable undoes Disable.
func (d *Directory) Enable(dn string) error { return d.switchAccount(dn, false) }

func (d *Directory) switchAccount(dn string, off bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(dn)
	if err != nil {
		return err
	}
	toggle := func(attribute, value string) {
		if off {
			e.set(attribute, value)
		} else {
			e.set(attribute)
		}
	}
	switch d.flavour.Name {
	case directory.ActiveDirectory:
		const disabled = 0x2
		bits, err := strconv.ParseInt(e.attributes.First("useraccountcontrol"), 10, 64)
		if err != nil {
			return errors.Join(fmt.Errorf("%q has no userAccountControl", dn), err)
		}
		bits &^= disabled
		if off {
			bits |= disabled
		}
		e.set("userAccountControl", strconv.FormatInt(bits, 10))
	case directory.DirectoryServer:
		toggle("nsAccountLock", "TRUE")
	case directory.EDirectory:
		toggle("loginDisabled", "TRUE")
	default:
		toggle("pwdAccountLockedTime", "000001010000Z")
	}
	d.watchers.tell(changeModify, e, "")
	d.index()
	return nil
}
