package slapdtest

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // {SSHA} is what OpenLDAP hashes with by default; these passwords are public
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Names in the directory that tests refer to.
const (
	Base            = "dc=stadt,dc=example"
	PeopleBase      = "ou=Personal," + Base
	GroupsBase      = "ou=Gruppen," + Base
	AdminDN         = "cn=admin," + Base // may do everything
	AdminPassword   = "admin-password"   // of AdminDN
	ServiceDN       = "cn=svc-vpn,ou=Dienste," + Base
	ServicePassword = "service-password" // of ServiceDN, which may read people and groups, and no password
	StaffGroup      = "cn=Homeoffice," + GroupsBase
	Helpdesk        = "cn=Helpdesk," + GroupsBase
	DeepGroup       = "cn=tief-000," + GroupsBase  // one hundred levels above the people in it
	CycleGroup      = "cn=kreis-000," + GroupsBase // in a circle of three
	UniqueGroup     = "cn=Eindeutig," + GroupsBase // groupOfUniqueNames
	PosixGroup      = "cn=posix," + GroupsBase     // names logins
	HiddenGroup     = "cn=verborgen," + GroupsBase // the service account may not see it
)

// Member is one of the people that every directory of this package has, besides the generated ones.
type Member struct {
	UID, Name, OU, Password string
	Attributes              []string // further lines of LDIF
}

// DN is where the person is.
func (m Member) DN() string {
	return "uid=" + strings.ReplaceAll(m.UID, ",", `\2C`) + ",ou=" + m.OU + "," + PeopleBase
}

// Members lists those people: each has a trait that a test asks about. All but "draussen" are in the staff group.
func Members() []Member {
	person := func(uid, name, password string, attributes ...string) Member {
		return Member{UID: uid, Name: name, OU: "Rathaus", Password: password, Attributes: attributes}
	}
	twin := person("zwilling", "Zora Zwilling", "zwilling-passwort")
	twin.OU = "Bauhof"
	return []Member{
		person("müller", "Jürgen Müller", "Grüße-aus-Nürnberg"),
		person("weiß", "Petra Weiß", "weiss-passwort"),
		person("draussen", "Dora Draußen", "draussen-passwort"),
		person("gesperrt", "Gerd Gesperrt", "gesperrt-passwort", "pwdAccountLockedTime: 000001010000Z"),
		person("abgelaufen", "Anna Abgelaufen", "abgelaufen-passwort", "objectClass: shadowAccount", "shadowExpire: 18000"),
		person("neuling", "Nina Neuling", "neuling-passwort", "pwdReset: TRUE"),
		person("altpasswort", "Alma Alt", "altpasswort-passwort", "pwdPolicySubentry: cn=kurz,ou=Richtlinien,"+Base, "pwdChangedTime: 20200101000000Z"),
		person("entsperrt", "Emil Entsperrt", "entsperrt-passwort", "pwdPolicySubentry: cn=kurz,ou=Richtlinien,"+Base, "pwdAccountLockedTime: 20200101000000Z"),
		person("zwilling", "Zoe Zwilling", "zwilling-passwort"),
		twin,
		person("tief", "Tim Tief", "tief-passwort"),
		person("kreis", "Karla Kreis", "kreis-passwort"),
		person("komma, klammer", "Kim (Komma, Klammer)*", "komma-passwort"),
	}
}

// Person returns login and password of the generated person number n.
func Person(n int) (login, password string) {
	return fmt.Sprintf("p%05d", n), fmt.Sprintf("passwort-%05d", n)
}

// PersonDN returns where the generated person number n is.
func PersonDN(n int) string {
	login, _ := Person(n)
	return "uid=" + login + ",ou=Rathaus," + PeopleBase
}

// Groups is how many groups LDIF makes when it is asked for people by the thousand.
const Groups = 501

// LDIF writes the directory with so many generated people. Those whose number is even are in the staff group,
// through a department's group; every tenth is not.
func LDIF(people int) []byte {
	var b bytes.Buffer
	l := &writer{out: &b}
	l.entry(Base, "objectClass: dcObject", "objectClass: organization", "dc: stadt", "o: Stadt Beispiel")
	for _, ou := range []string{"ou=Personal", "ou=Gruppen", "ou=Dienste", "ou=Richtlinien", "ou=Leer"} {
		l.unit(ou + "," + Base)
	}
	l.unit("ou=Rathaus," + PeopleBase)
	l.unit("ou=Bauhof," + PeopleBase)
	l.entry(ServiceDN, "objectClass: organizationalRole", "objectClass: simpleSecurityObject", "cn: svc-vpn", "userPassword: "+SSHA(ServicePassword))
	policy := []string{"objectClass: device", "objectClass: pwdPolicy", "pwdAttribute: userPassword"}
	l.entry("cn=standard,ou=Richtlinien,"+Base, append(policy, "cn: standard", "pwdLockout: TRUE", "pwdMaxFailure: 3", "pwdMustChange: TRUE")...)
	l.entry("cn=kurz,ou=Richtlinien,"+Base, append(policy, "cn: kurz", "pwdMaxAge: 3600", "pwdGraceAuthNLimit: 0",
		"pwdLockout: TRUE", "pwdLockoutDuration: 60")...)
	for _, m := range Members() {
		l.person(m.DN(), m.UID, m.Name, m.Password, m.Attributes...)
	}
	for n := range people {
		login, password := Person(n)
		l.person(PersonDN(n), login, fmt.Sprintf("Vorname%d Nachname%d", n, n), password)
	}
	l.groups(people)
	return b.Bytes()
}

// groups nests: staff group <- eight divisions <- departments <- people; a chain of a hundred; a circle of three.
func (l *writer) groups(people int) {
	const departments = 380
	rathaus := func(uid string) string { return "uid=" + uid + ",ou=Rathaus," + PeopleBase }
	division := func(n int) string { return fmt.Sprintf("cn=dezernat-%03d,%s", n, GroupsBase) }
	department := func(n int) string { return fmt.Sprintf("cn=amt-%03d,%s", n, GroupsBase) }
	deep := func(n int) string { return fmt.Sprintf("cn=tief-%03d,%s", n, GroupsBase) }
	circle := func(n int) string { return fmt.Sprintf("cn=kreis-%03d,%s", n%3, GroupsBase) }

	staff := []string{deep(0)}
	for n := range 8 {
		staff = append(staff, division(n))
	}
	for _, m := range Members() {
		if m.UID != "draussen" {
			staff = append(staff, m.DN())
		}
	}
	l.group(StaffGroup, staff...)
	l.group(Helpdesk, rathaus("müller"))
	l.group(HiddenGroup, rathaus("müller"))
	for n := range 8 {
		var parts []string
		for d := n; d < departments; d += 8 {
			parts = append(parts, department(d))
		}
		l.group(division(n), parts...)
	}
	inDepartment := make([][]string, departments)
	outside := []string{rathaus("draussen")}
	for n := range people {
		if n%2 == 0 && n%10 != 0 {
			inDepartment[n%departments] = append(inDepartment[n%departments], PersonDN(n))
		} else {
			outside = append(outside, PersonDN(n))
		}
	}
	for d, members := range inDepartment {
		l.group(department(d), members...)
	}
	l.group("cn=Innendienst,"+GroupsBase, outside...)
	for n := range 99 {
		l.group(deep(n), deep(n+1))
	}
	l.group(deep(99), rathaus("tief"))
	for n := range 3 {
		l.group(circle(n), circle(n+1), rathaus("kreis"))
	}
	l.entry(UniqueGroup, "objectClass: groupOfUniqueNames", "cn: Eindeutig", "uniqueMember: "+rathaus("müller"))
	l.entry(PosixGroup, "objectClass: posixGroup", "cn: posix", "gidNumber: 500", "memberUid: kreis")
	for n := range 4 {
		l.group(fmt.Sprintf("cn=leer-%d,%s", n, GroupsBase))
	}
}

type writer struct {
	out *bytes.Buffer
}

func (l *writer) unit(dn string) {
	name, _, _ := strings.Cut(strings.TrimPrefix(dn, "ou="), ",")
	l.entry(dn, "objectClass: organizationalUnit", "ou: "+name)
}

func (l *writer) person(dn, uid, name, password string, more ...string) {
	given, family, _ := strings.Cut(name, " ")
	lines := append([]string{"objectClass: inetOrgPerson", "uid: " + uid, "cn: " + name, "givenName: " + given, "sn: " + family,
		"displayName: " + name, "userPassword: " + SSHA(password)}, more...)
	if ascii(uid) {
		lines = append(lines, "mail: "+uid+"@stadt.example")
	}
	l.entry(dn, lines...)
}

// group writes a groupOfNames, which must have a member: without one it is its own.
func (l *writer) group(dn string, members ...string) {
	name, _, _ := strings.Cut(strings.TrimPrefix(dn, "cn="), ",")
	lines := []string{"objectClass: groupOfNames", "cn: " + name}
	if len(members) == 0 {
		members = []string{dn}
	}
	for _, m := range members {
		lines = append(lines, "member: "+m)
	}
	l.entry(dn, lines...)
}

// entry writes one entry; values that LDIF does not allow as they are go in base64 (RFC 2849).
func (l *writer) entry(dn string, lines ...string) {
	l.line("dn", dn)
	// slapadd wants all values of an attribute in one place.
	slices.SortStableFunc(lines, func(a, b string) int {
		first := func(s string) int {
			if strings.HasPrefix(s, "objectClass:") {
				return 0
			}
			return 1
		}
		return first(a) - first(b)
	})
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		l.line(name, value)
	}
	l.out.WriteByte('\n')
}

func (l *writer) line(name, value string) {
	value = norm.NFC.String(value)
	if ascii(value) {
		l.out.WriteString(name + ": " + value + "\n")
		return
	}
	l.out.WriteString(name + ":: " + base64.StdEncoding.EncodeToString([]byte(value)) + "\n")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] < 0x20 {
			return false
		}
	}
	return true
}

// SSHA hashes with a salt that follows from the password: a test's directory is the same at every run.
func SSHA(password string) string {
	password = norm.NFC.String(password)
	first := sha1.Sum([]byte("salt" + password)) //nolint:gosec // see the import
	salt := first[:8]
	sum := sha1.Sum(append([]byte(password), salt...)) //nolint:gosec // see the import
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
