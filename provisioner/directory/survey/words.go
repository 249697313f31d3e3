package survey

import (
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
)

// german is what the directory's own check says, in German; what is not known stays as it is.
func german(english string) string {
	for _, t := range []Text{
		{"Verbindung", "connection"},
		{"Dienstkonto", "service account"},
		{"Art des Verzeichnisses", "kind of directory"},
		{"Legen Sie das Passwort des Dienstkontos dort ab, lesbar nur für den Benutzer, unter dem heimdrahtd läuft (chown, chmod 0600).",
			"Put the service account's password there, and let nobody but the user that runs heimdrahtd read it (chown, chmod 0600)."},
		{"Sehen Sie nach, ob der Server läuft, ob Name und Port stimmen, und ob `ca_file` von der Stelle ist, die sein Zertifikat ausgestellt hat.",
			"See that the server runs, that name and port are right, and that `ca_file` is of the authority of its certificate."},
		{"Prüfen Sie DN und Passwort des Kontos, und im Verzeichnis, ob es gesperrt oder abgelaufen ist.",
			"Check its DN and its password, and in the directory whether it is locked or expired."},
		{"Lassen Sie das Dienstkonto den Wurzeleintrag und das Schema des Verzeichnisses lesen, oder nennen Sie die Art mit `flavour`.",
			"Let the service account read the directory's root entry and schema, or name the kind with `flavour`."},
		{"Prüfen Sie `base`, und lassen Sie das Dienstkonto dort Personen und ihre Attribute lesen.",
			"Check `base`, and let the service account read people and their attributes there."},
	} {
		if t.English == english {
			return t.German
		}
	}
	for _, t := range []Text{{"Personen unter ", "people below "}, {"Passwortdatei ", "password file "}} {
		if rest, found := strings.CutPrefix(english, t.English); found {
			return t.German + rest
		}
	}
	return english
}

// following says in which way changes are noticed, and what it takes for a better one.
func (s *survey) following(t ldap.Trial) Step {
	how := map[directory.Way]Text{
		directory.WaySyncrepl:         {"sofort (syncrepl)", "at once (syncrepl)"},
		directory.WayPersistentSearch: {"sofort (persistent search)", "at once (persistent search)"},
		directory.WayDirSync:          {"sofort (DirSync)", "at once (DirSync)"},
		directory.WayUSN:              {"sofort (uSNChanged)", "at once (uSNChanged)"},
		directory.WayPolling:          {"nur indem alles immer wieder gelesen wird, jede Minute", "only by reading everything again and again, every minute"},
	}
	step := Step{What: Text{"Änderungen bemerken", "noticing changes"}, OK: true, Detail: how[t.Source.Way]}
	if t.Source.Limited != "" {
		step.Detail.German += "; nicht sofort bemerkt wird: " + t.Source.Limited
		step.Detail.English += "; not noticed at once: " + t.Source.Limited
	}
	switch best := t.Ways[0]; {
	case best.Way != t.Source.Way:
		step.Next = s.better(t.Flavour, best)
	case t.Source.Limited != "" && t.Flavour == directory.ActiveDirectory:
		const command = `dsacls "CN=Deleted Objects,%[1]s" /takeownership, dsacls "CN=Deleted Objects,%[1]s" /G "DOMAIN\ACCOUNT:LCRP"`
		step.Next = textf("Lassen Sie das Dienstkonto gelöschte Konten sehen, als Administrator der Domäne: "+command,
			"Let the service account see deleted accounts, as an administrator of the domain: "+command, t.Roots[0])
	}
	return step
}

// better says what it takes for the best way of a kind of directory.
func (s *survey) better(flavour string, best ldap.Tried) Text {
	var do Text
	switch {
	case best.Way == directory.WaySyncrepl && flavour == directory.DirectoryServer && !best.Offered:
		do = Text{"Schalten Sie zwei Zusätze ein: dsconf INSTANZ plugin retro-changelog enable, dsconf INSTANZ plugin contentsync enable, dann neu starten.",
			"Switch on two plug-ins: dsconf INSTANCE plugin retro-changelog enable, dsconf INSTANCE plugin contentsync enable, then restart."}
	case best.Way == directory.WaySyncrepl && flavour == directory.DirectoryServer:
		do = textf("Erlauben Sie dem Dienstkonto (%s) read und search auf oid=1.3.6.1.4.1.4203.1.9.1.1,cn=features,cn=config.",
			"Allow the service account (%s) read and search on oid=1.3.6.1.4.1.4203.1.9.1.1,cn=features,cn=config.", s.Directory.BindDN)
	case best.Way == directory.WaySyncrepl && !best.Offered:
		do = Text{"Laden Sie für die Datenbank den Zusatz syncprov (overlay syncprov; in cn=config ein olcOverlay=syncprov).",
			"Load the overlay syncprov for the database (overlay syncprov; in cn=config an olcOverlay=syncprov)."}
	case best.Way == directory.WaySyncrepl:
		do = textf("Lassen Sie das Dienstkonto (%s) den ganzen Namenskontext lesen, mit entryUUID und entryCSN.",
			"Let the service account (%s) read the whole naming context, with entryUUID and entryCSN.", s.Directory.BindDN)
	case best.Way == directory.WayPersistentSearch && !best.Offered:
		do = Text{"Erlauben Sie persistent search am LDAP-Server (eDirectory: ldapEnablePSearch).", "Allow persistent search on the LDAP server (eDirectory: ldapEnablePSearch)."}
	default:
		do = textf("Der Server erlaubt %s nicht.", "The server does not allow %s.", best.Way)
	}
	better := Text{"Besser wäre " + string(best.Way) + ": " + do.German, "Better would be " + string(best.Way) + ": " + do.English}
	if best.Err != nil {
		better.German += fmt.Sprintf(" (%v)", best.Err)
		better.English += fmt.Sprintf(" (%v)", best.Err)
	}
	return better
}
