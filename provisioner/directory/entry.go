package directory

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// FeedAttributes names what must be read of entries to tell them to an Observer.
func (f Flavour) FeedAttributes() []string {
	attributes := slices.Concat([]string{"objectClass"}, f.Attributes(), f.MemberLogins)
	for _, members := range f.Members {
		attributes = append(attributes, f.Part(members, 0))
	}
	return attributes
}

// Part is the name by which the values of an attribute from that number on are asked for, where the server gives them
// in parts; elsewhere it is the attribute.
func (f Flavour) Part(attribute string, from int) string {
	if f.values == 0 {
		return attribute
	}
	return fmt.Sprintf("%s;range=%d-%d", attribute, from, from+f.values-1)
}

// GroupFilter is a filter that groups match, and people do not.
func (f Flavour) GroupFilter() string { return "(|" + classFilter(f.GroupClasses) + ")" }

func classFilter(classes []string) string {
	var b strings.Builder
	for _, class := range classes {
		b.WriteString("(objectClass=" + class + ")")
	}
	return b.String()
}

// FeedFilter is a filter that people, groups and units match.
func (f Flavour) FeedFilter() string {
	return "(|" + f.People + f.GroupFilter() + classFilter(f.UnitClasses) + ")"
}

// IsUnit reports whether an entry is one that has others below it, and is neither a person nor a group.
func (f Flavour) IsUnit(a Attributes) bool { return isOf(a, f.UnitClasses) }

func isOf(a Attributes, classes []string) bool {
	return slices.ContainsFunc(a["objectclass"], func(class string) bool {
		return slices.ContainsFunc(classes, func(c string) bool { return strings.EqualFold(c, class) })
	})
}

// Offers names the way if the root DSE says that the server has it.
func (w Way) Offers(root Attributes) bool {
	var control string
	switch w {
	case WaySyncrepl:
		control = "1.3.6.1.4.1.4203.1.9.1.1"
	case WayPersistentSearch:
		control = "2.16.840.1.113730.3.4.3"
	case WayDirSync:
		control = "1.2.840.113556.1.4.841"
	case WayUSN: // change notification, which wakes it
		control = "1.2.840.113556.1.4.528"
	case WayPolling:
		return true
	}
	return slices.Contains(root["supportedcontrol"], control)
}

// ID returns the entry's stable id in the form that is kept.
func (f Flavour) ID(a Attributes) (string, error) {
	return f.idText(a.First(strings.ToLower(f.StableID)))
}

// SyncID turns an entry's id as RFC 4533 sends it into the stable id.
func (f Flavour) SyncID(id [16]byte) string {
	if f.id == idFour {
		return fmt.Sprintf("%x-%x-%x-%x", id[:4], id[4:8], id[8:12], id[12:])
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// IsGroup reports whether an entry that matches FeedFilter is a group. The error says what may not be read.
func (f Flavour) IsGroup(a Attributes) (bool, error) {
	if len(a["objectclass"]) == 0 {
		return false, fmt.Errorf("the service account may not read objectClass, which tells people from groups")
	}
	return isOf(a, f.GroupClasses), nil
}

// Entry judges an entry that matches FeedFilter, as a feed tells it. The error is like that of Person.
func (f Flavour) Entry(directory, dn string, a Attributes, now time.Time) (Entry, error) {
	group, err := f.IsGroup(a)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{DN: dn}
	if f.names != nil {
		e.Names, e.In = f.names(a)
	}
	if !group {
		p, err := f.Person(directory, dn, a, now)
		if err != nil {
			return Entry{}, err
		}
		e.StableID, e.Person = p.StableID, &p
		if len(f.MemberLogins) > 0 {
			e.Names = append(e.Names, loginName(p.Login))
		}
		return e, nil
	}
	if e.StableID, err = f.ID(a); err != nil {
		return Entry{}, err
	}
	for _, attribute := range f.Members {
		e.Members = append(e.Members, a[strings.ToLower(attribute)]...)
	}
	for _, attribute := range f.MemberLogins {
		for _, login := range a[strings.ToLower(attribute)] {
			e.Members = append(e.Members, loginName(login))
		}
	}
	return e, nil
}

// loginName is how groups that list logins refer to a person. Capitals matter in it (RFC 2307, section 5.3), as they do
// when the directory itself is asked who is in such a group.
func loginName(login string) string { return "uid:" + norm.NFC.String(login) }

// sidNames are the names of Active Directory: by its SID (MS-DTYP 2.4.2) an entry is the primary group of people who
// are not among its members.
func sidNames(a Attributes) (names, in []string) {
	sid := a.First("objectsid")
	if sid == "" {
		return nil, nil
	}
	names = []string{sidName(sid)}
	if group, ok := PrimaryGroupSID(sid, a.First("primarygroupid")); ok {
		in = []string{sidName(group)}
	}
	return names, in
}

func sidName(sid string) string { return "sid:" + hex.EncodeToString([]byte(sid)) }

// PrimaryGroupSID replaces the last part of a person's SID, four bytes little endian (MS-DTYP 2.4.2), by the number of
// her primary group. False: she has none.
func PrimaryGroupSID(sid, group string) (string, bool) {
	var rid uint32
	if _, err := fmt.Sscanf(group, "%d", &rid); err != nil || len(sid) < 12 || len(sid) != 8+4*int(sid[1]) {
		return "", false
	}
	return sid[:len(sid)-4] + string([]byte{byte(rid), byte(rid >> 8), byte(rid >> 16), byte(rid >> 24)}), true
}
