package main

import (
	"errors"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// grammarIn names the program and fills in its help, in a language.
func grammarIn(l speech.Language) kong.Option {
	texts := helpTexts(l)
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(kong.Name("heimdraht-agent").Apply(k), kong.Description(texts["heimdraht-agent"]).Apply(k), texts.Apply(k))
	})
}

// helpTexts fill the ${names} in the grammar's tags.
func helpTexts(l speech.Language) kong.Vars {
	texts := map[string]words{
		"heimdraht-agent": {"Von zu Hause ins Haus: anmelden, verbinden, nachsehen.", "From home to the office: enrol, connect, look."},
		"socket":          {"Wo der Dienst zu erreichen ist; sonst am üblichen Ort.", "Where the service is reached; else at the usual place."},
		"lang":            {"Sprache; sonst folgt sie aus LANG.", "Language; else it follows from LANG."},

		"account": {"Für Administratoren, wo sich mehrere den Laptop teilen: für welches seiner Konten.", "For administrators, where several share the laptop: for which of its accounts."},

		"accounts":                {"Für Administratoren: welche Konten an einem geteilten Laptop angemeldet sind.", "For administrators: which accounts are enrolled at a shared laptop."},
		"accounts_list":           {"Sie zeigen: Nummer, Konto, Mensch, und ob er verbunden sein will.", "Show them: number, account, person, and whether she wants to be connected."},
		"accounts_forget":         {"Eines austragen und seine Schlüssel löschen. Auf dem Server gesperrt wird dadurch nichts.", "Forget one and remove its keys. Nothing is revoked at the server by that."},
		"accounts_forget_account": {"Konto, oder seine Nummer.", "Account, or its number."},

		"enrol":               {"Diesen Laptop anmelden, einmal.", "Enrol this laptop, once."},
		"enrol_address":       {"Anmeldeadresse, die Sie bekommen haben. Ohne: wie auf dem Laptop eingerichtet.", "The enrolment address that you were given. Without: as set up on the laptop."},
		"enrol_tenant":        {"Verwaltung; sonst folgt sie aus der Mailadresse.", "Tenant; else it follows from the mail address."},
		"enrol_login":         {"Benutzername oder Mailadresse wie im Haus; ohne wird gefragt.", "User name or mail address as in the office; asked for if missing."},
		"enrol_password_file": {"Passwort aus einer Datei, - für die Standardeingabe; ohne wird gefragt.", "Password from a file, - for standard input; asked for if missing."},
		"enrol_by_code":       {"Ohne Passwort an diesem Laptop: Er zeigt einen Code, den Sie dort bestätigen, wo Sie angemeldet sind.", "Without a password at this laptop: it shows a code, which you approve where you are signed in."},

		"enrol_code_file": {"Code vom Telefon, oder ein Ersatzcode, aus einer Datei, - für die Standardeingabe; ohne wird gefragt, wenn es einen braucht.", "Code from the phone, or a recovery code, from a file, - for standard input; asked for if it takes one."},

		"sign_in":           {"Sich wieder anmelden, wenn Ihre Verwaltung das verlangt.", "Sign in again, when your administration asks for it."},
		"sign_in_login":     {"Benutzername oder Mailadresse; sonst der, mit dem dieser Laptop angemeldet wurde.", "User name or mail address; else the one with which this laptop was enrolled."},
		"factor":            {"Zweite Bestätigung auf dem Telefon.", "Second factor on the phone."},
		"factor_set_up":     {"Sie einrichten, mit dem einmaligen Schlüssel, den Sie bekommen haben.", "Set it up, with the one-time token that you were given."},
		"factor_token_file": {"Der Schlüssel aus einer Datei, - für die Standardeingabe; ohne wird gefragt.", "The token from a file, - for standard input; asked for if missing."},
		"factor_code_file":  {"Der erste Code aus einer Datei, - für die Standardeingabe; ohne wird gefragt.", "The first code from a file, - for standard input; asked for if missing."},

		"enrol_invitation":         {"Mit einer Einladung des Helpdesks statt mit dem Passwort: die Datei mit ihr, - für die Standardeingabe.", "With an invitation of the helpdesk in place of the password: the file with it, - for standard input."},
		"enrol_accept_house_rules": {"Die Hausregeln in genau dieser Fassung bestätigen, ohne gefragt zu werden; für Skripte.", "Acknowledge the house rules in exactly this version, without being asked; for scripts."},

		"rules":        {"Die Hausregeln lesen und bestätigen.", "Read and acknowledge the house rules."},
		"rules_accept": {"Genau diese Fassung bestätigen, ohne gefragt zu werden.", "Acknowledge exactly this version, without being asked."},

		"open":        {"All das im Browser, ohne Befehle.", "All this in the browser, without commands."},
		"tell_screen": {"Beim Anmelden am Rechner: dem Dienst sagen, wie Ihr Bildschirm gesperrt wird.", "When you sign in on the machine: tell the service how your screen is locked."},
		"open_print":  {"Adresse und Zugangscode zeigen, statt den Browser zu öffnen.", "Show address and code in place of opening the browser."},
		"up":          {"Verbinden.", "Connect."},
		"down":        {"Trennen.", "Disconnect."},
		"status":      {"Sagen, wie es steht und was zu tun ist.", "Say how things stand and what to do."},
		"status_all":  {"Auch wenn alles gut ist, Glied für Glied zeigen, was zwischen Ihrem Konto und dem Haus liegt.", "Show link by link what lies between your account and the office, also where all is well."},
		"output":      {"Form der Ausgabe: Text, oder JSON für Programme.", "Form of the answer: text, or JSON for programs."},
		"reported":    {"Zeigen, was dieser Laptop dem Server zuletzt gemeldet hat, und nach welcher Vereinbarung mit dem Personalrat.", "Show what this laptop has reported to the server last, and under which agreement with the staff council."},
		"watch":       {"Zuschauen, bis Strg-C.", "Go on watching, until Ctrl-C."},

		"run":              {"Der Dienst selbst; gewöhnlich startet ihn das System.", "The service itself; usually the system starts it."},
		"run_config":       {"Einstellungen des Laptops.", "Settings of the laptop."},
		"run_state":        {"Ordner für Schlüssel und Zertifikat.", "Folder for keys and certificate."},
		"run_proxy":        {"Ohne Administratorrechte: kein Netz für alle Programme, sondern ein SOCKS5-Proxy auf dieser Adresse.", "Without administrator rights: no network for all programs, but a SOCKS5 proxy on this address."},
		"run_serial":       {"Seriennummer des Geräts; sonst sagt sie das Gerät.", "The machine's serial number; else the machine says it."},
		"clear":            {"Zurückstellen, was ein abgebrochener Dienst an diesem Rechner geändert hat.", "Put back what a service that was killed has changed on this machine."},
		"clear_everything": {"Auch Einstellungen, Schlüssel und Zertifikat löschen, wie eine Deinstallation. Gesperrt wird dadurch nichts.", "Remove settings, keys and certificate as well, as an uninstallation does. Nothing is revoked by that."},
		"configure":        {"Die Einstellungen des Laptops schreiben; was nicht genannt ist, bleibt.", "Write the settings of the laptop; what is not named stays."},
		"configure_server": {"Der Server, oder mehrere mit Komma dazwischen.", "The server, or several with commas between them."},
		"configure_ca":     {"Fingerabdruck des Zertifikats, an dem der Server erkannt wird.", "Fingerprint of the certificate by which the server is known."},
		"configure_tenant": {"Verwaltung.", "Tenant."},
		"configure_start":  {"Wann der Laptop sich von selbst verbindet: beim Einschalten, wenn sich sein Mensch anmeldet, oder nie.", "When the laptop connects by itself: when it is switched on, when its person signs in, or never."},
		"configure_shared": {"Ob sich mehrere den Laptop teilen: Jedes Konto hat seine eigene Anmeldung, eines ist zur Zeit verbunden, und Abmelden trennt.", "Whether several people share the laptop: each account has an enrolment of its own, one is connected at a time, and signing out disconnects."},
		"run_verbose":      {"Mehr ins Protokoll schreiben.", "Write more to the log."},

		"version": {"Version zeigen.", "Show the version."},
	}
	vars := kong.Vars{}
	for key, text := range texts {
		vars[key] = text.in(l)
	}
	return vars
}
