package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of the flavours.
const (
	ActiveDirectory = "activedirectory" // and Samba
	OpenLDAP        = "openldap"
	DirectoryServer = "389ds" // and FreeIPA, Red Hat Directory Server
	EDirectory      = "edirectory"
	Univention      = "univention"
)

// Attributes are the attributes of one entry: names in lower case, values as they came, binary ones too.
type Attributes map[string][]string

// First returns the first value of an attribute, empty if there is none. The name is in lower case.
func (a Attributes) First(name string) string {
	if v := a[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Flavour is what differs from one directory product to the next.
type Flavour struct {
	Name string
	// StableID is the attribute that stays with a person for good, and tells her from a later namesake.
	StableID string
	// Logins are the attributes a login is compared with; the first one that an entry has is Person.Login.
	Logins []string
	// People is a filter that people match and groups, computers and units do not.
	People string
	// GroupClasses are the object classes that make an entry a group.
	GroupClasses []string
	// UnitClasses are the object classes of what has people and groups below it. When one is renamed or moved, servers tell that of
	// itself alone. Empty: the way of following sees to it.
	UnitClasses []string
	// Members are the attributes by which a group lists its members' DNs, MemberLogins those by which it lists their
	// logins (RFC 2307).
	Members, MemberLogins []string
	// Ways of noticing changes, the best one first. A server that offers none of them is read again and again.
	Ways []Way
	// Resumes: from a cookie (RFC 4533) a server tells what has happened since. 389 Directory Server 2.3 sends cookies that
	// it does not take back, and from one that it takes it told nothing of what had happened.
	Resumes bool
	// InChain: the server itself finds members of members (matching rule 1.2.840.113556.1.4.1941).
	InChain bool
	// Domains: a login may be written DOMAIN\name.
	Domains bool

	id       idForm
	names    func(Attributes) (names, in []string) // what Entry.Names and Entry.In say besides; nil: nothing
	status   []string
	values   int    // how many values of an attribute are asked for at once (MS-ADTS 3.1.1.3.1.3.3); 0: all
	required string // an attribute without which nothing is known about the status
	judge    func(Attributes, time.Time) Status
}

type idForm int

const (
	idText idForm = iota // a UUID as text, in lower case
	idFour               // text in lower case, written in four parts of eight digits
	idHex                // 16 bytes
	idGUID               // 16 bytes, the first three groups little endian (MS-DTYP 2.3.4)
)

const personFilter = "(objectClass=person)"

// groupClasses are those of RFC 4519, RFC 2307 and, in eDirectory's schema, plain "group".
func groupClasses() []string {
	return []string{"groupOfNames", "groupOfUniqueNames", "posixGroup", "group"}
}

// withGroups fills in how groups are kept everywhere but in Active Directory.
func (f Flavour) withGroups(ways ...Way) Flavour {
	f.GroupClasses = groupClasses()
	f.UnitClasses = []string{"organizationalUnit", "organization", "nsContainer"}
	f.Members, f.MemberLogins = []string{"member", "uniqueMember"}, []string{"memberUid"}
	f.Ways = ways
	return f
}

// Flavours lists what is known. Measured against OpenLDAP, Samba and 389 Directory Server; the others follow
// their manufacturers' documentation.
func Flavours() []Flavour {
	return []Flavour{
		{
			Name: ActiveDirectory, StableID: "objectGUID", Logins: []string{"sAMAccountName", "userPrincipalName"},
			People: "(&(objectClass=user)(!(objectClass=computer)))", InChain: true, Domains: true, id: idGUID,
			GroupClasses: []string{"group"}, Members: []string{"member"}, Ways: []Way{WayDirSync, WayUSN}, names: sidNames, values: 1500,
			status: []string{"userAccountControl", "accountExpires", "pwdLastSet", "msDS-User-Account-Control-Computed",
				"msDS-UserPasswordExpiryTimeComputed", "primaryGroupID", "objectSid"},
			required: "useraccountcontrol", judge: judgeActiveDirectory,
		},
		Flavour{
			Name: OpenLDAP, StableID: "entryUUID", Logins: []string{"uid"}, People: personFilter, Resumes: true,
			status: []string{"pwdAccountLockedTime", "pwdReset", "pwdChangedTime", "shadowExpire"}, judge: judgeOpenLDAP,
		}.withGroups(WaySyncrepl, WayPersistentSearch),
		Flavour{
			Name: DirectoryServer, StableID: "nsUniqueId", Logins: []string{"uid"}, People: personFilter, id: idFour,
			status: []string{"nsAccountLock", "krbPrincipalExpiration", "krbPasswordExpiration", "passwordExpirationTime", "accountUnlockTime",
				"krbLastPwdChange", "pwdUpdateTime"},
			judge: judgeDirectoryServer,
		}.withGroups(WaySyncrepl, WayPersistentSearch),
		Flavour{
			Name: EDirectory, StableID: "GUID", Logins: []string{"uid", "cn"}, People: personFilter, id: idHex,
			status: []string{"loginDisabled", "loginExpirationTime", "lockedByIntruder", "passwordExpirationTime", "pwdChangedTime"},
			judge:  judgeEDirectory,
		}.withGroups(WayPersistentSearch),
		Flavour{
			Name: Univention, StableID: "entryUUID", Logins: []string{"uid"}, People: personFilter, Resumes: true,
			status: []string{"sambaAcctFlags", "sambaPwdLastSet", "shadowExpire", "pwdAccountLockedTime", "pwdReset", "pwdChangedTime"}, judge: judgeUnivention,
		}.withGroups(WaySyncrepl, WayPersistentSearch),
	}
}

// FlavourNamed returns the flavour of that name.
func FlavourNamed(name string) (Flavour, bool) {
	for _, f := range Flavours() {
		if f.Name == name {
			return f, true
		}
	}
	return Flavour{}, false
}

func flavourNames() string {
	var names []string
	for _, f := range Flavours() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// RootDSE names the attributes of the entry with the empty DN (RFC 4512, section 5.1) that tell a flavour and
// where groups are.
func RootDSE() []string {
	return []string{"namingContexts", "vendorName", "vendorVersion", "supportedCapabilities", "objectClass",
		"structuralObjectClass", "directoryTreeName", "defaultNamingContext"}
}

// FlavourOf tells the flavour from the root DSE. Univention's directory is an OpenLDAP that says nothing more
// of itself than any other: there the attributes of its naming context's own entry tell, which the caller
// reads into context (may be nil).
func FlavourOf(root, context Attributes) (Flavour, bool) {
	vendor := strings.ToLower(root.First("vendorname") + " " + root.First("vendorversion"))
	class := func(a Attributes, name string) bool {
		return slices.ContainsFunc(slices.Concat(a["objectclass"], a["structuralobjectclass"]),
			func(v string) bool { return strings.EqualFold(v, name) })
	}
	switch {
	case slices.Contains(root["supportedcapabilities"], "1.2.840.113556.1.4.800"):
		return FlavourNamed(ActiveDirectory)
	case strings.Contains(vendor, "389"), strings.Contains(vendor, "red hat"), strings.Contains(vendor, "fedora"):
		return FlavourNamed(DirectoryServer)
	case root.First("directorytreename") != "", strings.Contains(vendor, "edirectory"):
		return FlavourNamed(EDirectory)
	case class(root, "OpenLDAProotDSE") && class(context, "univentionBase"):
		return FlavourNamed(Univention)
	case class(root, "OpenLDAProotDSE"):
		return FlavourNamed(OpenLDAP)
	}
	return Flavour{}, false
}

// Attributes names what must be read of a person's entry.
func (f Flavour) Attributes() []string {
	return slices.Concat([]string{f.StableID, "displayName", "cn", "mail"}, f.Logins, f.status)
}

// ErrNoLogin is why an entry is not one of somebody who signs in: a contact in an address book, or one of which the service
// account may not read the login.
var ErrNoLogin = errors.New("the entry has no login that the service account may read")

// Person judges an entry. The error says what the service account may not read and names no person.
func (f Flavour) Person(directory, dn string, a Attributes, now time.Time) (Person, error) {
	id, err := f.idText(a.First(strings.ToLower(f.StableID)))
	if err != nil {
		return Person{}, err
	}
	if f.required != "" && a.First(f.required) == "" {
		return Person{}, fmt.Errorf("the service account may not read %s, which tells whether an account is in order", f.required)
	}
	p := Person{Directory: directory, StableID: id, Mail: a.First("mail"), DN: dn, Status: f.judge(a, now)}
	for _, attr := range f.Logins {
		if p.Login = a.First(strings.ToLower(attr)); p.Login != "" {
			break
		}
	}
	if p.Login == "" {
		return Person{}, fmt.Errorf("%w: %s", ErrNoLogin, strings.Join(f.Logins, " or "))
	}
	for _, name := range []string{a.First("displayname"), a.First("cn"), p.Login} {
		if p.DisplayName = name; name != "" {
			break
		}
	}
	return p, nil
}

// idText brings a stable id into the form that is kept.
func (f Flavour) idText(raw string) (string, error) {
	switch {
	case raw == "":
		return "", fmt.Errorf("the service account may not read %s, by which people are known", f.StableID)
	case f.id == idText, f.id == idFour:
		return strings.ToLower(raw), nil
	case len(raw) != 16:
		return "", fmt.Errorf("%s is %d bytes long and should be 16", f.StableID, len(raw))
	case f.id == idHex:
		return hex.EncodeToString([]byte(raw)), nil
	}
	b := swapGUID([]byte(raw))
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// IDValue turns a kept stable id back into the attribute's value, for an equality filter. It fails on text that
// no entry of this flavour can have.
func (f Flavour) IDValue(text string) (string, error) {
	if f.id == idText || f.id == idFour {
		if text == "" {
			return "", fmt.Errorf("the stable id is empty")
		}
		return text, nil
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 {
		return "", fmt.Errorf("the stable id is not a GUID")
	}
	if f.id == idGUID {
		raw = swapGUID(raw)
	}
	return string(raw), nil
}

// swapGUID exchanges the byte order of the first three groups; it is its own inverse.
func swapGUID(b []byte) []byte {
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}
