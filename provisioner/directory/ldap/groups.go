package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

const (
	// maxDepth and maxGroups end a walk that leads nowhere. A hundred levels have been seen; who has more gets
	// an error that says so, because a walk cut short would look like not being a member.
	maxDepth  = 256
	maxGroups = 20000
	// groupsAtOnce is how many DNs one filter asks for.
	groupsAtOnce = 50

	matchInChain = "1.2.840.113556.1.4.1941"
)

// MissingGroups implements directory.Directory.
func (d *Directory) MissingGroups(ctx context.Context, groups []string) (missing []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	err = d.do(ctx, forSearch, func(ctx context.Context, c *conn) error {
		missing = nil // it may be another server's turn
		for _, dn := range groups {
			if folded, err := fold(dn); err != nil || folded == "" {
				missing = append(missing, dn) // what is no DN no group has
				continue
			}
			switch _, err := c.entry(ctx, dn, []string{"1.1"}); {
			case isAbsent(err):
				missing = append(missing, dn)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return missing, err
}

// fillGroups finds out which of the asked groups the person is in, and which are missing.
func (d *Directory) fillGroups(ctx context.Context, f found, person *directory.Person, asked []string) error {
	if len(asked) == 0 {
		return nil
	}
	wanted := make(map[string]string, len(asked)) // folded: as asked
	for _, dn := range asked {
		folded, err := fold(dn)
		if err != nil || folded == "" {
			return d.fault(directory.Misconfigured, fmt.Sprintf("%q is not the DN of a group", dn), "correct it", err)
		}
		if _, twice := wanted[folded]; !twice {
			wanted[folded] = dn
		}
	}
	var in, missing map[string]bool
	err := d.do(ctx, forSearch, func(ctx context.Context, c *conn) error {
		var err error
		if d.known().flavour.InChain {
			in, missing, err = d.askChain(ctx, c, f, wanted)
		} else {
			in, missing, err = d.walk(ctx, c, f, wanted)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dn := range asked {
		folded, _ := fold(dn)
		switch {
		case wanted[folded] != dn: // asked twice
		case in[folded]:
			person.Groups = append(person.Groups, dn)
		case missing[folded]:
			person.MissingGroups = append(person.MissingGroups, dn)
		}
	}
	return nil
}

// askChain has the server follow the chain, one search a group: the search has the group as its base, so its
// answer also tells whether the group is there. The primary group (Domain Users) has no member attribute and is
// recognised by its SID.
func (d *Directory) askChain(ctx context.Context, c *conn, f found, wanted map[string]string) (in, missing map[string]bool, err error) {
	in, missing = map[string]bool{}, map[string]bool{}
	filter := "(member:" + matchInChain + ":=" + goldap.EscapeFilter(f.person.DN) + ")"
	if sid, ok := directory.PrimaryGroupSID(f.attributes.First("objectsid"), f.attributes.First("primarygroupid")); ok {
		filter = "(|" + filter + "(objectSid=" + goldap.EscapeFilter(sid) + "))"
	}
	for folded, dn := range wanted {
		result, err := c.find(ctx, dn, goldap.ScopeBaseObject, 0, filter, []string{"1.1"})
		switch {
		case isAbsent(err):
			missing[folded] = true
		case err != nil:
			return nil, nil, err
		case len(result.Entries) > 0:
			in[folded] = true
		}
	}
	return in, missing, nil
}

// walk goes upwards from the person: the groups she is in, the groups those are in, and so on. A group is
// visited once, so cycles end. It stops as soon as all wanted groups are found.
func (d *Directory) walk(ctx context.Context, c *conn, f found, wanted map[string]string) (in, missing map[string]bool, err error) {
	in, missing = map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	level := []string{f.person.DN}
	bases := d.groupBases(wanted)
	for depth := 0; len(level) > 0 && len(in) < len(wanted); depth++ {
		if depth > maxDepth || len(seen) > maxGroups {
			return nil, nil, d.fault(directory.Misconfigured, fmt.Sprintf("groups are nested more than %d deep, or somebody is in more than %d", maxDepth, maxGroups),
				"flatten them", nil)
		}
		uid := ""
		if depth == 0 {
			uid = f.person.Login
		}
		above, err := groupsAbove(ctx, c, d.known().flavour.GroupFilter(), bases, level, uid)
		if err != nil {
			return nil, nil, err
		}
		level = level[:0:0]
		for _, dn := range above {
			folded, err := fold(dn)
			if err != nil || seen[folded] {
				continue // a DN from the server that nobody can have asked for
			}
			seen[folded] = true
			level = append(level, dn)
			if _, ok := wanted[folded]; ok {
				in[folded] = true
			}
		}
	}
	for folded, dn := range wanted {
		if in[folded] {
			continue
		}
		if _, err := c.entry(ctx, dn, []string{"1.1"}); isAbsent(err) {
			missing[folded] = true
		} else if err != nil {
			return nil, nil, err
		}
	}
	return in, missing, nil
}

// groupBases are the naming contexts that hold wanted groups, or all, if none does.
func (d *Directory) groupBases(wanted map[string]string) []string {
	contexts := d.known().contexts
	var bases []string
	for _, context := range contexts {
		folded, err := fold(context)
		if err != nil {
			continue
		}
		for dn := range wanted {
			if directory.Under(dn, folded) {
				bases = append(bases, context)
				break
			}
		}
	}
	if len(bases) == 0 {
		return contexts
	}
	return bases
}

// groupsAbove returns the DNs of the groups that have one of these entries as a member, and of those that name
// the login (RFC 2307).
func groupsAbove(ctx context.Context, c *conn, groups string, bases, members []string, uid string) ([]string, error) {
	var above []string
	for len(members) > 0 {
		n := min(groupsAtOnce, len(members))
		filter := groupFilter(groups, members[:n], uid)
		members, uid = members[n:], ""
		for _, base := range bases {
			result, err := c.find(ctx, base, goldap.ScopeWholeSubtree, 0, filter, []string{"1.1"})
			if err != nil {
				return nil, err
			}
			for _, e := range result.Entries {
				above = append(above, e.DN)
			}
		}
	}
	return above, nil
}

// groupFilter begins with the classes of groups: objectClass is indexed everywhere, the attributes for members
// are not, and one that is not would have a server read all entries.
func groupFilter(groups string, members []string, uid string) string {
	var b strings.Builder
	b.WriteString("(&" + groups + "(|")
	for _, dn := range members {
		value := goldap.EscapeFilter(dn)
		b.WriteString("(member=" + value + ")(uniqueMember=" + value + ")")
	}
	if uid != "" {
		b.WriteString("(memberUid=" + goldap.EscapeFilter(uid) + ")")
	}
	b.WriteString("))")
	return b.String()
}

// isAbsent: the entry is not there. Access rules that hide it say the same.
func isAbsent(err error) bool {
	var e *goldap.Error
	return errors.As(err, &e) && (e.ResultCode == goldap.LDAPResultNoSuchObject || e.ResultCode == goldap.LDAPResultReferral)
}

func fold(dn string) (string, error) { return directory.FoldDN(norm.NFC.String(dn)) }
