package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

const (
	// adUnits are what has people and groups below it.
	adUnits = "(|(objectClass=organizationalUnit)(objectClass=container))"
	// adWatched are the entries whose changes matter.
	adWatched = "(|(objectClass=user)(objectClass=group)(objectClass=organizationalUnit)(objectClass=container))"
	// adDeleted are those that have been deleted. The container in which they are counts as deleted too, and can be
	// read by those who may not read what is in it; it comes from nowhere.
	adDeleted = "(&(isDeleted=TRUE)(lastKnownParent=*))"
	// dirSyncBytes bounds one answer of DirSync.
	dirSyncBytes = 1 << 20
	// adAtOnce is how many changed entries are read with one search.
	adAtOnce = 50
)

// mark notes where the server is in its changes, and finds out whether it tells deletions. Of these there always are
// some: none means that they are hidden.
func (f *adFeed) mark(ctx context.Context, place *adPlace) error {
	if place.way == directory.WayUSN {
		return f.markUSN(ctx, place)
	}
	// Without the right to all changes there may still be one to the changes of what the account may read.
	var refused error
	for _, flags := range []int64{0, goldap.DirSyncObjectSecurity} {
		err := f.markCookies(ctx, place, flags)
		if err == nil || !isAnswer(err) {
			return err
		}
		refused = err
	}
	return errors.Join(errNotOffered, refused)
}

func (f *adFeed) markCookies(ctx context.Context, place *adPlace, flags int64) error {
	place.flags, place.cookie = flags, map[string][]byte{}
	deleted := 0
	for _, root := range f.on.roots {
		changes, err := f.dirSync(ctx, root, adDeleted, place)
		if err != nil {
			return err
		}
		deleted += len(changes)
	}
	place.silent = deleted == 0
	return nil
}

func (f *adFeed) markUSN(ctx context.Context, place *adPlace) error {
	place.silent = true
	for _, root := range f.on.roots {
		page := goldap.NewControlPaging(1) // one is enough
		result, err := f.line.search(ctx, root, adDeleted, []string{"1.1"}, page, goldap.NewControlMicrosoftShowDeleted())
		if err != nil {
			return fmt.Errorf("looking for what was deleted: %w", err)
		}
		place.silent = place.silent && len(result.Entries) == 0
	}
	return nil
}

// since asks what is new, changed or deleted, and moves the place on. It returns objectGUIDs and no more: what an
// entry is now is read from the entry.
func (f *adFeed) since(ctx context.Context, root string, place *adPlace) ([]string, error) {
	if place.way == directory.WayDirSync {
		return f.dirSync(ctx, root, adWatched, place)
	}
	return f.sinceUSN(ctx, root)
}

// dirSync asks for what has changed since the cookie (MS-ADTS 3.1.1.3.4.1.3).
func (f *adFeed) dirSync(ctx context.Context, root, filter string, place *adPlace) ([]string, error) {
	var changes []string
	for {
		result, err := f.line.search(ctx, root, filter, f.dirSyncAttributes(),
			goldap.NewRequestControlDirSync(place.flags, dirSyncBytes, place.cookie[root]))
		if err != nil {
			return nil, fmt.Errorf("asking for changes: %w", err)
		}
		answer, ok := goldap.FindControl(result.Controls, goldap.ControlTypeDirSync).(*goldap.ControlDirSync)
		if !ok || len(answer.Cookie) == 0 {
			return nil, fmt.Errorf("%w: it does not say where it is in its changes", errNotOffered)
		}
		for _, e := range result.Entries {
			changes = append(changes, e.GetAttributeValue("objectGUID"))
		}
		place.cookie[root] = answer.Cookie
		if answer.Flags == 0 { // which in an answer say whether there is more
			return changes, nil
		}
	}
}

// dirSyncAttributes are those whose change is told. What the server computes never changes by itself; what it is
// computed from does.
func (f *adFeed) dirSyncAttributes() []string {
	attributes := slices.Concat([]string{"name", "isDeleted", "lockoutTime"}, f.on.flavour.Attributes(), f.on.flavour.Members)
	return slices.DeleteFunc(attributes, func(name string) bool { return strings.HasPrefix(name, "msDS-User") })
}

// sinceUSN asks by the server's own numbers, which takes no right.
func (f *adFeed) sinceUSN(ctx context.Context, root string) ([]string, error) {
	var changes []string
	filter := "(&(uSNChanged>=" + strconv.FormatUint(f.ad.usn+1, 10) + ")" + adWatched + ")"
	err := f.line.pages(ctx, root, filter, []string{"objectGUID"}, goldap.NewControlMicrosoftShowDeleted(), func(e *goldap.Entry) error {
		changes = append(changes, e.GetAttributeValue("objectGUID"))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking for changes: %w", err)
	}
	return changes, nil
}

// tell reads entries again and tells what they are now. It reports whether a unit or container is among them that has
// another DN than before.
func (f *adFeed) tell(ctx context.Context, root string, guids []string) (moved bool, err error) {
	var filter strings.Builder
	for _, guid := range guids {
		filter.WriteString("(objectGUID=" + goldap.EscapeFilter(guid) + ")")
	}
	result, err := f.line.search(ctx, root, "(|"+filter.String()+")", f.on.flavour.FeedAttributes())
	if err != nil {
		return false, fmt.Errorf("reading what has changed: %w", err)
	}
	now := map[string]*goldap.Entry{}
	for _, e := range result.Entries {
		now[e.GetAttributeValue("objectGUID")] = e
	}
	for _, guid := range guids {
		above, err := f.tellOne(ctx, root, guid, now[guid])
		if err != nil {
			return false, err
		}
		moved = moved || above
	}
	return moved, nil
}

// tellOne tells what an entry is; nil: it is not there.
func (f *adFeed) tellOne(ctx context.Context, root, guid string, e *goldap.Entry) (moved bool, err error) {
	id, err := f.on.flavour.ID(directory.Attributes{"objectguid": {guid}})
	if err != nil {
		return false, err
	}
	if e == nil {
		f.gone(id, f.to)
		return false, nil
	}
	a := attributesOf(e)
	is := func(class string) bool {
		return slices.ContainsFunc(a["objectclass"], func(have string) bool { return strings.EqualFold(have, class) })
	}
	switch {
	case is("computer"):
	case is("user"), is("group"):
		if err := f.complete(ctx, f.on, e.DN, a); err != nil {
			return false, err
		}
		return false, f.change(f.on, root, e.DN, a, f.to)
	case is("organizationalUnit"), is("container"):
		dn, _ := fold(e.DN)
		before, known := f.ad.units[guid]
		if !known { // a new one: nobody can have been below it before
			f.ad.units[guid] = dn
		}
		return known && before != dn, nil
	}
	return false, nil
}
