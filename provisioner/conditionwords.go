package provisioner

import (
	"strconv"
	"strings"
)

// said is a text in both languages.
type said struct{ german, english string }

// in is the text in "en", else in German.
func (s said) in(language string) string {
	if language == "en" {
		return s.english
	}
	return s.german
}

// In names what is asked for, in "en", else in German.
func (c Condition) In(language string) string {
	return map[Condition]said{
		DiskEncryption: {"Festplatte verschlüsselt", "disk encrypted"}, Firewall: {"Firewall an", "firewall on"},
		ScreenLock: {"Bildschirmsperre", "screen lock"}, SupportedSystem: {"System mit Updates", "system with updates"},
	}[c].in(language)
}

// In is the answer in "en", else in German.
func (a Answer) In(language string) string {
	return map[Answer]said{AnswerYes: {"ja", "yes"}, AnswerNo: {"nein", "no"}, AnswerUnknown: {"nicht bekannt", "not known"}}[a].in(language)
}

// systems are how a text reads on each of them.
type systems struct{ linux, windows, darwin said }

func (s systems) on(platform string) said {
	switch platform {
	case "windows":
		return s.windows
	case "darwin":
		return s.darwin
	default:
		return s.linux
	}
}

// unmetWords say what is the matter: it is so, and nobody could find out.
func unmetWords(c Condition) (no, unknown said) {
	switch c {
	case DiskEncryption:
		return said{"Die Festplatte ist nicht verschlüsselt.", "The disk is not encrypted."},
			said{"Ob die Festplatte verschlüsselt ist, war nicht zu erkennen.", "Whether the disk is encrypted could not be found out."}
	case Firewall:
		return said{"Die Firewall ist aus.", "The firewall is off."},
			said{"Ob die Firewall an ist, war nicht zu erkennen.", "Whether the firewall is on could not be found out."}
	case ScreenLock:
		return said{"Der Bildschirm wird nicht rechtzeitig gesperrt.", "The screen is not locked in time."},
			said{"Ob der Bildschirm von selbst gesperrt wird, war nicht zu erkennen.", "Whether the screen is locked by itself could not be found out."}
	default:
		return said{"Das Betriebssystem bekommt keine Sicherheitsupdates mehr.", "The operating system gets no security updates any more."},
			said{"Ob das Betriebssystem noch Sicherheitsupdates bekommt, war nicht zu erkennen.", "Whether the operating system still gets security updates could not be found out."}
	}
}

// remedies say how to put it right on each system. {minutes} is how soon the screen must be locked.
func remedies(c Condition) systems {
	switch c {
	case DiskEncryption:
		return systems{
			linux: said{"Rufen Sie wegen der Festplatte den Helpdesk an: Unter Linux wird sie bei der Einrichtung verschlüsselt.",
				"Call the helpdesk about the disk: on Linux it is encrypted when the laptop is set up."},
			windows: said{"Schalten Sie unter Einstellungen > Datenschutz und Sicherheit die Geräteverschlüsselung (BitLocker) ein. Fehlt sie dort, rufen Sie den Helpdesk an.",
				"Switch on device encryption (BitLocker) under Settings > Privacy & security. If it is missing there, call the helpdesk."},
			darwin: said{"Schalten Sie unter Systemeinstellungen > Datenschutz & Sicherheit FileVault ein.",
				"Turn on FileVault under System Settings > Privacy & Security."},
		}
	case Firewall:
		return systems{
			linux: said{"Bitten Sie den Helpdesk, die Firewall einzuschalten (mit Administratorrechten zum Beispiel: ufw enable).",
				"Ask the helpdesk to switch the firewall on (with administrator rights for example: ufw enable)."},
			windows: said{"Schalten Sie die Firewall unter Windows-Sicherheit > Firewall- und Netzwerkschutz für alle drei Netzwerke ein.",
				"Switch the firewall on under Windows Security > Firewall & network protection, for all three networks."},
			darwin: said{"Schalten Sie unter Systemeinstellungen > Netzwerk > Firewall die Firewall ein.",
				"Turn the firewall on under System Settings > Network > Firewall."},
		}
	case ScreenLock:
		return systems{
			linux: said{"Stellen Sie in den Einstellungen des Desktops (Datenschutz oder Energie) ein, dass sich der Bildschirm{minutes} von selbst sperrt.",
				"Set in the desktop's settings (privacy or power) that the screen locks by itself{minutes}."},
			windows: said{"Stellen Sie unter Einstellungen > Personalisierung > Sperrbildschirm > Bildschirmschoner ein, dass{minutes} die Anmeldeseite erscheint.",
				"Set under Settings > Personalisation > Lock screen > Screen saver that the sign-in screen shows{minutes}."},
			darwin: said{"Stellen Sie unter Systemeinstellungen > Sperrbildschirm ein, dass der Bildschirm{minutes} ausgeht und gleich danach das Passwort verlangt wird.",
				"Set under System Settings > Lock Screen that the display turns off{minutes} and the password is required at once."},
		}
	default:
		return systems{
			linux: said{"Rufen Sie wegen des Betriebssystems den Helpdesk an: Es braucht eine neuere Version.",
				"Call the helpdesk about the operating system: it needs a newer version."},
			windows: said{"Holen Sie unter Einstellungen > Windows Update die angebotene neue Version von Windows. Gibt es keine, rufen Sie den Helpdesk an.",
				"Get the new version of Windows that Settings > Windows Update offers. If there is none, call the helpdesk."},
			darwin: said{"Holen Sie unter Systemeinstellungen > Allgemein > Softwareupdate die neue Version von macOS. Gibt es keine, rufen Sie den Helpdesk an.",
				"Get the new version of macOS under System Settings > General > Software Update. If there is none, call the helpdesk."},
		}
	}
}

// words say what is unmet, and how to put it right on a system.
func (p ConditionPolicy) words(list []Unmet, platform string) (what, how said) {
	within := said{}
	if n := strconv.Itoa(p.ScreenLockMinutes); p.ScreenLockMinutes > 0 {
		within = said{" nach höchstens " + n + " Minuten", " after at most " + n + " minutes"}
	}
	for _, u := range list {
		sentence, unknown := unmetWords(u.Condition)
		if u.Answer == AnswerUnknown {
			sentence = unknown
		}
		remedy := remedies(u.Condition).on(platform)
		what.add(sentence)
		how.add(said{strings.ReplaceAll(remedy.german, "{minutes}", within.german), strings.ReplaceAll(remedy.english, "{minutes}", within.english)})
	}
	return what, how
}

// add puts a sentence behind others.
func (s *said) add(next said) {
	s.german, s.english = strings.TrimSpace(s.german+" "+next.german), strings.TrimSpace(s.english+" "+next.english)
}
