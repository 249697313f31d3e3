package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/proxy"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// The codes of problems that only this program has.
const (
	codeFailed         = "failed"
	codeUsage          = "wrong-usage"
	codeInterrupted    = "interrupted"
	codeFileUnusable   = "file-unusable"
	codeConfigInvalid  = "file-invalid"
	codeDaemonMissing  = "service-not-running"
	codeDaemonRunning  = "service-running"
	codeDaemonForeign  = "service-foreign"
	codeDaemonSilent   = "service-silent"
	codeNotYours       = "not-your-laptop"
	codeNoSuchCall     = "no-such-call"
	codeSocketUnusable = "socket-unusable"
	codeProxyPort      = "proxy-port"
	codeProxyMissing   = "proxy-missing"
	codeNoAccount      = "no-such-account"
	codeHouseRules     = "house-rules"
	codeNoBrowser      = "no-browser"
	codeLaptopInUse    = "laptop-in-use"
	codeLaptopFull     = "laptop-full"
	codeAccountUnknown = "account-unknown"
	codeSharedNeeds    = "shared-needs-administrator"
	codeNotShared      = "laptop-not-shared"
	codeAdminOnly      = "administrator-only"
)

// usageError says that the command line cannot be right.
type usageError struct {
	what    string
	command string // whose --help tells more
}

func (e usageError) Error() string { return e.what }

func problem(code string, sentence, next words) *control.Problem {
	return &control.Problem{
		Code:    code,
		German:  control.Text{Sentence: sentence.de, Next: next.de},
		English: control.Text{Sentence: sentence.en, Next: next.en},
	}
}

func noBrowser() *control.Problem {
	return problem(codeNoBrowser,
		words{"Der Browser lässt sich von hier aus nicht öffnen.", "The browser cannot be opened from here."},
		words{"Öffnen Sie ihn selbst, mit: heimdraht-agent open --print.", "Open it yourself, with: heimdraht-agent open --print."})
}

func daemonMissing() *control.Problem {
	return problem(codeDaemonMissing,
		words{"Der Dienst läuft nicht.", "The service is not running."},
		words{endpoint.OrProxy("Starten Sie ihn: "+control.StartService()+".", "Ohne Administratorrechte"),
			endpoint.OrProxy("Start it: "+control.StartService()+".", "Without administrator rights")})
}

func daemonRunning(socket string) *control.Problem {
	return problem(codeDaemonRunning,
		words{"Der Dienst läuft schon (" + socket + ").", "The service is running already (" + socket + ")."},
		words{"Nichts zu tun: heimdraht-agent status.", "Nothing to do: heimdraht-agent status."})
}

func daemonForeign() *control.Problem {
	return problem(codeDaemonForeign,
		words{"Der Dienst gehört weder dem System noch Ihnen. Es wurde nichts gesendet.", "The service belongs neither to the system nor to you. Nothing was sent."},
		words{"Prüfen Sie, was Sie bei --socket angegeben haben. Sonst sagen Sie es dem Helpdesk: Jemand könnte Ihr Passwort wollen.",
			"Check what you stated for --socket. Else tell the helpdesk: somebody may be after your password."})
}

func daemonSilent(err error) *control.Problem {
	return problem(codeDaemonSilent,
		words{"Der Dienst antwortet nicht.", "The service does not answer."},
		words{"Starten Sie ihn neu: " + control.RestartService() + ".", "Restart it: " + control.RestartService() + "."}).Because(err)
}

func noSuchCall() *control.Problem {
	return problem(codeNoSuchCall,
		words{"Das ist keine Anfrage, die dieser Dienst versteht.", "That is no call that this service understands."},
		words{"Befehl und Dienst müssen von derselben Version sein: " + control.RestartService() + ".",
			"Command and service must be of the same version: " + control.RestartService() + "."})
}

func notYours() *control.Problem {
	return problem(codeNotYours,
		words{"Dieser Laptop ist für jemand anderen angemeldet.", "This laptop is enrolled for somebody else."},
		words{"Melden Sie sich am Laptop mit dem Konto an, mit dem er angemeldet wurde. Soll er Ihnen gehören, hilft der Helpdesk.",
			"Sign in to the laptop with the account that enrolled it. If it is to be yours, the helpdesk can help."})
}

// laptopInUse says that the connection is another account's, and does not say whose.
func laptopInUse() *control.Problem {
	return problem(codeLaptopInUse,
		words{"An diesem Laptop ist gerade jemand anderes verbunden.", "Somebody else is connected at this laptop just now."},
		words{"Wer verbunden ist, trennt die Verbindung oder meldet sich am Laptop ab. Dann verbinden Sie sich: heimdraht-agent up.",
			"Whoever is connected disconnects, or signs out of the laptop. Then connect: heimdraht-agent up."})
}

// laptopFull says that no more accounts can be enrolled at a laptop that several share.
func laptopFull() *control.Problem {
	n := strconv.Itoa(mostAccounts)
	return problem(codeLaptopFull,
		words{"An diesem Laptop sind schon " + n + " Konten angemeldet, mehr gehen nicht.", n + " accounts are enrolled at this laptop already, and there is no room for more."},
		words{"Rufen Sie den Helpdesk an: Wer den Laptop nicht mehr benutzt, wird dort ausgetragen (heimdraht-agent accounts forget).",
			"Call the helpdesk: who does not use the laptop any more is taken off it there (heimdraht-agent accounts forget)."})
}

// accountUnknown says that it cannot be told whether an enrolment is the caller's.
func accountUnknown() *control.Problem {
	return problem(codeAccountUnknown,
		words{"Der Laptop kann gerade nicht feststellen, wem Ihr Konto gehört.", "The laptop cannot tell just now whose your account is."},
		words{"Melden Sie sich am Laptop ab und wieder an. Hilft das nicht, rufen Sie den Helpdesk an.", "Sign out of the laptop and in again. If that does not help, call the helpdesk."})
}

func notShared() *control.Problem {
	return problem(codeNotShared,
		words{"Diesen Laptop teilen sich nicht mehrere: Er hat nur eine Anmeldung.", "This laptop is not shared by several: it has one enrolment only."},
		words{"Soll er mehreren dienen: heimdraht-agent configure --shared true, dann den Dienst neu starten: " + control.RestartService() + ".",
			"If it is to serve several: heimdraht-agent configure --shared true, then restart the service: " + control.RestartService() + "."})
}

func adminOnly() *control.Problem {
	return problem(codeAdminOnly,
		words{"Andere Konten dieses Laptops sehen und bedienen nur Administratoren.", "Other accounts of this laptop are seen and driven by administrators only."},
		words{"Fragen Sie den Helpdesk.", "Ask the helpdesk."})
}

// unknownAccount says that there is no account of a name that was typed.
func unknownAccount(name string) *control.Problem {
	return problem(codeNoAccount,
		words{"Das Konto " + name + " gibt es auf diesem Laptop nicht.", "The account " + name + " does not exist on this laptop."},
		words{"Angemeldet sind: heimdraht-agent accounts list.", "Enrolled are: heimdraht-agent accounts list."})
}

// sharedNeeds says that a daemon of a person's own cannot serve several.
func sharedNeeds() *control.Problem {
	return problem(codeSharedNeeds,
		words{"Einen Laptop, den sich mehrere teilen (shared: true), bedient nur der Dienst des Systems.", "A laptop that several share (shared: true) is served by the system's service only."},
		words{"Starten Sie den: " + control.StartService() + ". Oder nehmen Sie shared aus agent.yaml.", "Start that: " + control.StartService() + ". Or take shared out of agent.yaml."})
}

func socketUnusable(path string, err error) *control.Problem {
	return problem(codeSocketUnusable,
		words{path + " lässt sich nicht benutzen: " + plain(err).de + ".", path + " cannot be used: " + plain(err).en + "."},
		words{"Geben Sie einen anderen Ort an: --socket DATEI.", "State another place: --socket FILE."}).Because(err)
}

func proxyPort(address string, err error) *control.Problem {
	if errors.Is(err, proxy.ErrNotLoopback) {
		return problem(codeProxyPort,
			words{"Auf " + address + " darf der Proxy nicht lauschen: Jeder im selben Netz könnte ihn benutzen.", "The proxy must not listen on " + address + ": everybody in the same network could use it."},
			words{"Nehmen Sie eine Adresse dieses Rechners für sich selbst: --userspace-proxy 127.0.0.1:1080.", "Take an address of this machine for itself: --userspace-proxy 127.0.0.1:1080."}).Because(err)
	}
	return problem(codeProxyPort,
		words{"Auf " + address + " lässt sich kein Proxy anbieten: " + plain(err).de + ".", "No proxy can be offered on " + address + ": " + plain(err).en + "."},
		words{"Läuft dort schon ein Programm, nehmen Sie einen anderen Port: --userspace-proxy 127.0.0.1:1081.",
			"If a program runs there already, take another port: --userspace-proxy 127.0.0.1:1081."}).Because(err)
}

// proxyMissing says that this program was built without a network stack.
func proxyMissing() *control.Problem {
	return problem(codeProxyMissing,
		words{"Diese Ausgabe des Programms ist die zum Installieren. Sie hat keinen Proxy.", "This edition of the program is the one to install. It has no proxy."},
		words{"Nehmen Sie eine Ausgabe mit Proxy. Für Linux liegt sie im Archiv (heimdraht_VERSION_linux_amd64.tar.gz); das Helpdesk kann sie Ihnen geben.",
			"Take an edition with a proxy. For Linux it is in the archive (heimdraht_VERSION_linux_amd64.tar.gz); the helpdesk can give it to you."}).Because(wireguard.ErrNoNetstack)
}

func noAccount(name string) *control.Problem {
	return problem(codeNoAccount,
		words{"Das Konto " + name + " aus agent.yaml gibt es auf diesem Laptop nicht.", "The account " + name + " in agent.yaml does not exist on this laptop."},
		words{"Berichtigen Sie user: in agent.yaml.", "Correct user: in agent.yaml."})
}

// rulesOpen says that there is nobody to ask.
func rulesOpen(version string) *control.Problem {
	return problem(codeHouseRules,
		words{"Die Hausregeln sind noch nicht bestätigt.", "The house rules are not acknowledged yet."},
		words{"Bestätigen Sie sie an einem Terminal, oder mit --accept " + version + ".", "Acknowledge them on a terminal, or with --accept " + version + "."})
}

func rulesDeclined() *control.Problem {
	return problem(codeHouseRules,
		words{"Sie haben die Hausregeln nicht bestätigt; es wurde nichts geändert.", "You have not acknowledged the house rules; nothing was changed."},
		words{"Haben Sie Fragen dazu, wenden Sie sich an Ihre Verwaltung oder den Personalrat.", "If you have questions about them, ask your administration or the staff council."})
}

// fileUnusable says that a file that was named cannot be used. It holds nothing of what is in it.
func fileUnusable(file string, why words) *control.Problem {
	return problem(codeFileUnusable,
		words{fmt.Sprintf("Die Datei %s lässt sich nicht benutzen: %s.", file, why.de), fmt.Sprintf("The file %s cannot be used: %s.", file, why.en)},
		words{"Prüfen Sie Namen, Rechte und Inhalt der Datei.", "Check the file's name, its rights and what is in it."})
}

// plain is what the system says is wrong, without what our own layers add for logs.
func plain(err error) words {
	german, english := control.SystemSays(err)
	return words{german, english}
}

// fail prints an error and gives the exit status; nil is done.
func (a *app) fail(err error) int {
	var usage usageError
	var invalid config.Problems
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		a.complain(codeUsage, usage.what, words{"Hilfe: ", "Help: "}.in(a.language)+usage.command+" --help")
		return exitUsage
	case errors.As(err, &invalid):
		a.complain(codeConfigInvalid, invalid.Error(), words{"Berichtigen Sie die Datei.", "Correct the file."}.in(a.language))
	case errors.Is(err, context.Canceled):
		a.complain(codeInterrupted, words{"Abgebrochen.", "Interrupted."}.in(a.language), "")
	default:
		if p, ok := control.AsProblem(err); ok {
			t := p.Text(string(a.language))
			a.complain(p.Code, t.Sentence, t.Next)
		} else {
			a.complain(codeFailed, err.Error(), "")
		}
	}
	return exitFailed
}

// complain prints what happened, what to do, and the code.
func (a *app) complain(code, sentence, next string) {
	text := words{"Fehler", "Error"}.in(a.language) + ": " + harmless(sentence) + "\n"
	if next != "" {
		text += harmless(next) + "\n"
	}
	show(a.err, text+"("+harmless(code)+")\n")
}

// show writes to a person's terminal. That it is gone, nobody is there to be told.
func show(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// harmless takes out what a terminal would obey. Line breaks stay.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
