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
		return errors.Join(kong.Name("heimdraht-gateway").Apply(k), kong.Description(texts["heimdraht-gateway"]).Apply(k), texts.Apply(k))
	})
}

// helpTexts fill the ${names} in the grammar's tags.
func helpTexts(l speech.Language) kong.Vars {
	texts := map[string]words{
		"heimdraht-gateway": {"Zugangsserver: tritt einem Server bei und hält die Tunnel so, wie dieser sagt.", "A VPN gateway: joins a control plane and keeps the tunnels as it says."},
		"config":            {"Datei mit den Einstellungen.", "File with the settings."},
		"state":             {"Ordner für Schlüssel und Bekanntes; sonst der aus den Einstellungen.", "Folder for keys and what is known; else the one in the settings."},
		"lang":              {"Sprache; sonst folgt sie aus LANG.", "Language; else it follows from LANG."},

		"join":            {"Einem Server beitreten, mit einem einmaligen Schlüssel.", "Join a control plane, with a one-time token."},
		"join_address":    {"Adresse vom Betrieb: Server und Fingerabdruck.", "Address from the operator: server and fingerprint."},
		"join_token_file": {"Einmaliger Schlüssel aus einer Datei; - für die Standardeingabe. Sonst wird er erfragt.", "One-time token from a file; - for standard input. Else it is asked for."},
		"join_again":      {"Auch wenn der Zugangsserver schon beigetreten ist; mit neuen Schlüsseln.", "Even if the gateway has joined before; with new keys."},

		"run":           {"Arbeiten, bis das Programm beendet wird.", "Work until the program is ended."},
		"run_userspace": {"WireGuard im Programm selbst statt im Kern des Systems.", "WireGuard in the program itself instead of the kernel."},
		"run_verbose":   {"Mehr ins Protokoll schreiben.", "Log more."},
		"run_leave":     {"Am Ende die Tunnel stehen lassen, die der Kern des Systems trägt: der nächste Start übernimmt sie, clear entfernt sie.", "Leave the tunnels standing that the kernel carries: the next start takes them over, clear removes them."},

		"clear": {"Entfernen, was ein beendeter Dienst auf diesem Rechner stehen ließ.", "Remove what a service that has ended left standing on this machine."},

		"status":        {"Zeigen, wie es steht.", "Show how things are."},
		"status_output": {"Form der Ausgabe: Text, oder JSON für Programme.", "Form of the answer: text, or JSON for programs."},
		"version":       {"Zeigen, welches Programm das ist.", "Show which program this is."},
	}
	vars := make(kong.Vars, len(texts))
	for name, text := range texts {
		vars[name] = text.in(l)
	}
	return vars
}
