package survey

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
)

// tenant says how many people a tenant has, and of each group whether it is there and who is in it.
func (s *survey) tenant(t provisioner.Tenant) {
	base := s.baseOf(t)
	people, inside, outside := s.count(base)
	what := textf("eigene Personen, unter %s", "own people, below %s", base)
	if people == 0 {
		s.say(Step{Tenant: t.Name, What: what, Code: "directory-people", Detail: Text{"niemand", "nobody"},
			Next: Text{"Berichtigen Sie `base`, oder lassen Sie das Dienstkonto dort Personen lesen.", "Correct `base`, or let the service account read people there."}})
	} else {
		s.say(Step{Tenant: t.Name, What: what, OK: true, Detail: textf("%d Personen", "%d people", people)})
	}
	for _, g := range t.GroupsNamed() {
		s.say(s.group(t, g, inside[fold(g.DN)], outside[fold(g.DN)]))
	}
}

// count counts people below a base, and in and outside of it who is in each group, directly or through other groups.
func (s *survey) count(base string) (people int, inside, outside map[string]int) {
	inside, outside = map[string]int{}, map[string]int{}
	below := fold(base)
	for _, id := range s.mirror.People() {
		p, _ := s.mirror.Person(id)
		counts := outside
		if directory.Under(fold(p.DN), below) {
			people++
			counts = inside
		}
		for group := range s.mirror.Memberships(id) {
			counts[group]++
		}
	}
	return people, inside, outside
}

func fold(dn string) string {
	folded, err := directory.FoldDN(norm.NFC.String(dn))
	if err != nil {
		return dn
	}
	return folded
}

func (s *survey) group(t provisioner.Tenant, g provisioner.NamedGroup, inside, outside int) Step {
	step := Step{Tenant: t.Name, What: both(g.Field + " " + g.DN), Code: "directory-group"}
	switch {
	case !s.mirror.HasGroup(g.DN):
		step.Detail = Text{"Diese Gruppe gibt es nicht, oder sie ist dem Dienstkonto verborgen.", "There is no such group, or it is hidden from the service account."}
		step.Next = textf("Berichtigen Sie %s, oder lassen Sie das Dienstkonto (%s) die Gruppe und ihre Mitglieder lesen.",
			"Correct %s, or let the service account (%s) read the group and its members.", g.Field, s.Directory.BindDN)
	case inside == 0 && g.DN == t.StaffGroup:
		step.Detail = Text{"Niemand aus dieser Verwaltung ist darin.", "Nobody of this tenant is in it."}
		step.Next = Text{"Nehmen Sie Personen auf, berichtigen Sie staff_group, oder lassen Sie das Dienstkonto die Mitglieder lesen.",
			"Put people into it, correct staff_group, or let the service account read its members."}
	default:
		step.OK, step.Code = true, ""
		step.Detail = textf("%d Personen, auch über andere Gruppen", "%d people, also through other groups", inside)
	}
	if outside > 0 {
		more := textf(" dazu %d, die nicht unter %s sind und nicht zählen", " besides %d who are not below %s and do not count", outside, s.baseOf(t))
		step.Detail.German, step.Detail.English = step.Detail.German+";"+more.German, step.Detail.English+";"+more.English
	}
	return step
}

// errSeen ends a sign-in once the person is found, before any password is tried.
var errSeen = errors.New("found")

// person says what is read of somebody, and whether she may enrol in a tenant.
func (s *survey) person(ctx context.Context, d *ldap.Directory, t provisioner.Tenant) {
	what := both(s.Login)
	var found directory.Person
	_, err := d.SignIn(ctx, directory.Query{Base: s.baseOf(t), Login: s.Login, Found: func(p directory.Person) error {
		found = p
		return errSeen
	}}, "not tried")
	if errors.Is(err, errSeen) {
		found, err = d.Lookup(ctx, s.baseOf(t), found.StableID, t.GroupsAsked())
	}
	if err != nil {
		s.failPerson(t, what, err)
		return
	}
	for _, line := range linesOf(found) {
		s.say(Step{Tenant: t.Name, What: Text{what.German + ": " + line[0].German, what.English + ": " + line[0].English}, OK: true, Detail: line[1]})
	}
	step := mayEnrol(t, found, time.Now())
	step.Tenant, step.What = t.Name, Text{what.German + ": darf einen Laptop anmelden", what.English + ": may enrol a laptop"}
	s.say(step)
}

func (s *survey) failPerson(t provisioner.Tenant, what Text, err error) {
	step := Step{Tenant: t.Name, What: what, Code: "directory-person"}
	switch directory.CauseOf(err) {
	case directory.UnknownLogin:
		step.Detail = textf("Niemand unter %s hat diesen Login.", "Nobody below %s has this login.", s.baseOf(t))
		step.Next = Text{"Prüfen Sie die Schreibweise; ist sie richtig, liegt das Konto außerhalb von `base`, oder das Dienstkonto darf es nicht lesen.",
			"Check the spelling; if it is right, the account is outside of `base`, or the service account may not read it."}
	case directory.AmbiguousLogin:
		step.Detail = Text{"Mehrere Konten haben diesen Login.", "Several accounts have this login."}
		step.Next = Text{"Machen Sie Login und Mailadresse unter `base` eindeutig.", "Make login and mail address unique below `base`."}
	default:
		step.Detail = both(err.Error())
	}
	s.say(step)
}

// linesOf is what is read of somebody.
func linesOf(p directory.Person) [][2]Text {
	status := func() Text {
		var german, english []string
		add := func(is bool, g, e string) {
			if is {
				german, english = append(german, g), append(english, e)
			}
		}
		add(p.Status.Ended != "", "beendet ("+string(p.Status.Ended)+")", "ended ("+string(p.Status.Ended)+")")
		add(!p.Status.EndsAt.IsZero(), "Konto endet am "+p.Status.EndsAt.UTC().Format(time.DateOnly), "account ends on "+p.Status.EndsAt.UTC().Format(time.DateOnly))
		add(p.Status.SignInBlocked, "gesperrt oder gesperrt gewesen nach falschen Passwörtern", "is or was locked after wrong passwords")
		add(p.Status.PasswordExpired, "Passwort abgelaufen", "password expired")
		add(!p.Status.PasswordEndsAt.IsZero(), "Passwort gilt bis "+p.Status.PasswordEndsAt.UTC().Format(time.DateOnly), "password good until "+p.Status.PasswordEndsAt.UTC().Format(time.DateOnly))
		add(!p.Status.PasswordChangedAt.IsZero(), "Passwort gesetzt am "+p.Status.PasswordChangedAt.UTC().Format(time.DateOnly), "password set on "+p.Status.PasswordChangedAt.UTC().Format(time.DateOnly))
		add(p.Status.MustChangePassword, "muss das Passwort ändern", "must change the password")
		if len(german) == 0 {
			return Text{"in Ordnung", "in order"}
		}
		return Text{strings.Join(german, ", "), strings.Join(english, ", ")}
	}
	groups := Text{strings.Join(p.Groups, "; "), strings.Join(p.Groups, "; ")}
	if len(p.Groups) == 0 {
		groups = Text{"in keiner von denen, die die Datei nennt", "in none of those that the file names"}
	}
	lines := [][2]Text{
		{{"Kennzeichen", "stable id"}, both(p.StableID)},
		{both("DN"), both(p.DN)},
		{{"Name, Login, Mail", "name, login, mail"}, both(strings.Join([]string{p.DisplayName, p.Login, p.Mail}, ", "))},
		{{"Gruppen", "groups"}, groups},
		{{"Zustand", "status"}, status()},
	}
	if len(p.MissingGroups) > 0 {
		lines = append(lines, [2]Text{{"nicht lesbare Gruppen", "groups that cannot be read"}, both(strings.Join(p.MissingGroups, "; "))})
	}
	return lines
}

// mayEnrol decides as signing in does once the password is proved.
func mayEnrol(t provisioner.Tenant, p directory.Person, now time.Time) Step {
	no := func(detail, next Text) Step { return Step{Code: "directory-not-entitled", Detail: detail, Next: next} }
	standing := provisioner.Standing{Groups: p.Groups, Ended: provisioner.WhyNot(p.Status.Ended), EndsAt: p.Status.EndsAt}
	why := t.WhyNot(standing, now)
	switch {
	case why == provisioner.WhyGroup && p.Missing(t.StaffGroup):
		return no(Text{"nicht zu sagen: staff_group ist nicht zu lesen", "cannot be said: staff_group cannot be read"},
			Text{"Berichtigen Sie staff_group, oder lassen Sie das Dienstkonto die Gruppe lesen.", "Correct staff_group, or let the service account read the group."})
	case why == provisioner.WhyGroup:
		return no(Text{"nein: nicht in staff_group", "no: not in staff_group"},
			textf("Nehmen Sie das Konto in die Gruppe auf: %s", "Put the account into the group: %s", t.StaffGroup))
	case why != "":
		return no(textf("nein: das Konto ist beendet (%s)", "no: the account has ended (%s)", why),
			Text{"Geben Sie das Konto im Verzeichnis frei, wenn das ein Versehen ist.", "Enable the account in the directory if that is a mistake."})
	case p.Status.MustChangePassword || p.Status.PasswordExpired:
		return no(Text{"nein: das Passwort ist abgelaufen oder muss geändert werden", "no: the password has expired or must be changed"},
			Text{"Zuerst muss das Passwort geändert werden.", "The password has to be changed first."})
	default:
		return Step{OK: true, Detail: Text{"ja, mit dem richtigen Passwort", "yes, with the right password"}}
	}
}
