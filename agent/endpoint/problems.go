package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// The codes of problems that only a laptop has; package control has the rest.
const (
	CodeNotConnected    = "not-connected"
	CodeNoRights        = "no-rights"
	CodeNoTunnelDevice  = "no-tunnel-device"
	CodeDriverMissing   = "driver-missing"
	CodeDriverMisplaced = "driver-misplaced"
	CodeDriverUnusable  = "driver-unusable"
	CodeDriverUntrusted = "driver-untrusted"
	CodeInterfaceTaken  = "interface-taken"
	CodeOtherTunnel     = "other-tunnel"
	CodeTunnelFailed    = "tunnel-failed"
	CodeUnsupported     = "unsupported-system"
	CodeNetworkConflict = "network-conflict"
	CodeTunnelLeft      = "tunnel-left"
	CodeGatewaySilent   = "gateway-silent"
	CodeInsideSilent    = "inside-silent"
	CodeCaptivePortal   = "captive-portal"
	CodeNoNetwork       = "no-network"
	CodeGatewayNotFound = "gateway-not-found"
	CodeSeatAwaited     = "seat-awaited"
	CodePlaceRests      = "place-rests"
	CodeServerSilent    = "server-silent"
	CodeServerAway      = "server-away"
	CodeServerErratic   = "server-erratic"
	CodeStateDamaged    = "state-damaged"
	CodeServerMissing   = "server-missing"
	CodeAddressInvalid  = "address-invalid"
	CodeLoginMissing    = "login-missing"
	CodePasswordMissing = "password-missing"
	CodePasswordLong    = "password-too-long"
	CodeInvitation      = "invitation-invalid"
)

// phrase is a part of a sentence in both languages.
type phrase struct{ german, english string }

// in is the phrase in "en", else in German.
func (p phrase) in(language string) string {
	if language == "en" {
		return p.english
	}
	return p.german
}

// seconds writes an age.
func seconds(n int64) string { return strconv.FormatInt(n, 10) + " s" }

func configurationRefused(err error) *control.Problem {
	r := &rejection{german: "sie sind unbrauchbar", english: "they are unusable"}
	_ = errors.As(err, &r)
	return &control.Problem{Code: control.CodeConfigRefused, Who: control.Operator,
		German: control.Text{
			Sentence: "Der Server hat Einstellungen geschickt, die dieses Programm nicht übernimmt: " + capital(r.german) + ".",
			Next:     "Geben Sie diesen Satz dem Helpdesk. Auf Ihrem Laptop wurde nichts geändert."},
		English: control.Text{
			Sentence: "The server sent settings that this program does not accept: " + r.english + ".",
			Next:     "Give this sentence to the helpdesk. Nothing was changed on your laptop."}}
}

// capital is the clause as a sentence of its own, which German wants after a colon.
func capital(clause string) string {
	first, size := utf8.DecodeRuneInString(clause)
	return string(unicode.ToUpper(first)) + clause[size:]
}

// tunnelFailed puts into words why the tunnel could not be set up on this machine.
func tunnelFailed(err error) *control.Problem {
	var p *control.Problem
	var r *rejection
	var taken *hostnet.TakenError
	var driver *wireguard.DriverError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &taken):
		p = otherTunnel(taken.Interface)
	case errors.As(err, &r):
		return configurationRefused(err)
	case errors.As(err, &driver):
		p = driverProblem(driver)
	case errors.Is(err, fs.ErrPermission):
		p = &control.Problem{Code: CodeNoRights, Who: control.Helpdesk,
			German: control.Text{Sentence: "Das Programm darf auf diesem Laptop keine Netzverbindung einrichten.",
				Next: OrProxy("Starten Sie den Dienst: "+control.StartService()+".", "Ohne Administratorrechte")},
			English: control.Text{Sentence: "The program may not set up a network connection on this laptop.",
				Next: OrProxy("Start the service: "+control.StartService()+".", "Without administrator rights")}}
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.EBUSY):
		p = &control.Problem{Code: CodeInterfaceTaken, Who: control.Employee,
			German: control.Text{Sentence: "Die Netzverbindung wird schon von einem anderen Programm benutzt.",
				Next: "Läuft das Programm doppelt, beenden Sie eines. Sonst starten Sie den Laptop neu."},
			English: control.Text{Sentence: "The network connection is already used by another program.",
				Next: "If the agent runs twice, stop one. Else restart the laptop."}}
	case errors.Is(err, wireguard.ErrKernelUnsupported), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV):
		p = noTunnelDevice(runtime.GOOS)
	case errors.Is(err, errors.ErrUnsupported):
		p = &control.Problem{Code: CodeUnsupported, Who: control.Helpdesk,
			German: control.Text{Sentence: "Auf diesem Betriebssystem kann das Programm noch keine Netzverbindung einrichten.",
				Next: "Benutzen Sie den Proxy: heimdraht-agent run --userspace-proxy 127.0.0.1:1080."},
			English: control.Text{Sentence: "On this operating system the program cannot set up a network connection yet.",
				Next: "Use the proxy: heimdraht-agent run --userspace-proxy 127.0.0.1:1080."}}
	default:
		p = &control.Problem{Code: CodeTunnelFailed, Who: control.Helpdesk,
			German: control.Text{Sentence: fmt.Sprintf("Die Verbindung ließ sich auf diesem Laptop nicht einrichten: %v.", err),
				Next: "Verbinden Sie sich noch einmal: heimdraht-agent up. Klappt es nicht, geben Sie diesen Satz dem Helpdesk."},
			English: control.Text{Sentence: fmt.Sprintf("The connection could not be set up on this laptop: %v.", err),
				Next: "Connect again: heimdraht-agent up. If that fails, give this sentence to the helpdesk."}}
	}
	return p.Because(err)
}

// StateDamaged says that one of the laptop's own files cannot be read: cut short, changed by somebody, or of another
// version. If it is no more than a lack of rights, it says that.
func StateDamaged(dir string, cause error) *control.Problem {
	if errors.Is(cause, fs.ErrPermission) {
		return control.StateUnusable(dir, cause)
	}
	return &control.Problem{Code: CodeStateDamaged, Who: control.Helpdesk, Cause: cause,
		German: control.Text{Sentence: fmt.Sprintf("Eine Datei dieses Programms ist beschädigt oder stammt von einer anderen Version: %v.", cause),
			Next: "Wurde gerade eine ältere Version eingespielt, nehmen Sie wieder die neuere. Sonst löschen Sie den Ordner " + dir + ", starten den Laptop neu und melden ihn wieder an: heimdraht-agent enrol."},
		English: control.Text{Sentence: fmt.Sprintf("A file of this program is damaged or was written by another version: %v.", cause),
			Next: "If an older version was just installed, take the newer one again. Else delete the folder " + dir + ", restart the laptop and enrol it again: heimdraht-agent enrol."}}
}

// otherTunnel says that another program leads the laptop's packets already. name is its interface, if that is known.
func otherTunnel(name string) *control.Problem {
	shown, end, schluss := "", "", ""
	if name != "" {
		shown, end, schluss = " ("+name+")", ", for example with wg-quick down "+name, ", zum Beispiel mit wg-quick down "+name
	}
	return &control.Problem{Code: CodeOtherTunnel, Who: control.Employee,
		German: control.Text{Sentence: "Auf diesem Laptop läuft schon eine andere Verbindung dieser Art" + shown + ".",
			Next: "Beenden Sie die andere" + schluss + ". Dann verbinden Sie sich noch einmal: heimdraht-agent up."},
		English: control.Text{Sentence: "Another connection of this kind runs on this laptop already" + shown + ".",
			Next: "End the other one" + end + ". Then connect again: heimdraht-agent up."}}
}

// tunnelLeft says that something of a tunnel that was taken down is still there. Its traffic is dead.
func tunnelLeft(err error) *control.Problem {
	return &control.Problem{Code: CodeTunnelLeft, Who: control.Employee, Cause: err,
		German: control.Text{Sentence: fmt.Sprintf("Die Verbindung ist beendet, aber die Netzeinstellungen des Laptops ließen sich nicht ganz zurückstellen: %v.", err),
			Next: "Starten Sie den Laptop neu, wenn das Internet nicht mehr geht."},
		English: control.Text{Sentence: fmt.Sprintf("The connection has ended, but the laptop's network settings could not be put back entirely: %v.", err),
			Next: "Restart the laptop if the internet no longer works."}}
}

// networkConflict says that a part of the office is hidden behind a network of the same addresses.
func networkConflict(c *hostnet.ConflictError) *control.Problem {
	return &control.Problem{Code: CodeNetworkConflict, Who: control.Employee, Cause: c,
		German: control.Text{Sentence: fmt.Sprintf("Ein Teil des Hauses (%v) ist von hier nicht zu erreichen: Ihr Netz zu Hause benutzt dieselben Adressen.", c.Network),
			Next: "Versuchen Sie ein anderes Netz, etwa das Ihres Handys, oder ändern Sie die Adressen im Router. Der Helpdesk hilft."},
		English: control.Text{Sentence: fmt.Sprintf("A part of the office (%v) cannot be reached from here: your network at home uses the same addresses.", c.Network),
			Next: "Try another network, such as your phone's, or change the addresses in your router. The helpdesk can help."}}
}

func notEnrolled() *control.Problem { return control.NotEnrolled("heimdraht-agent enrol") }

func notConnected() *control.Problem {
	return &control.Problem{Code: CodeNotConnected, Who: control.Employee,
		German:  control.Text{Sentence: "Sie sind nicht verbunden.", Next: "Verbinden Sie sich: heimdraht-agent up."},
		English: control.Text{Sentence: "You are not connected.", Next: "Connect: heimdraht-agent up."}}
}

// gatewaySilent is said in the same words by the control plane, to whoever asks it.
func gatewaySilent() *control.Problem {
	return &control.Problem{Code: CodeGatewaySilent, Who: control.Employee,
		German: control.Text{Sentence: "Der Laptop ist angemeldet, aber zwischen ihm und dem Zugangsserver kommt nichts durch.",
			Next: "Das Netz, in dem er gerade ist, lässt die Verbindung (UDP) vielleicht nicht durch: Hotel, Gast-WLAN. Ein anderes versuchen, etwa das des Handys. Hilft das nicht, den Helpdesk anrufen."},
		English: control.Text{Sentence: "The laptop is signed in, but nothing gets through between it and the gateway.",
			Next: "The network that it is in may not let the connection (UDP) through: hotel, guest Wi-Fi. Try another one, such as the phone's. If that does not help, call the helpdesk."}}
}

// insideSilent is said in the same words by the control plane.
func insideSilent() *control.Problem {
	return &control.Problem{Code: CodeInsideSilent, Who: control.Operator,
		German: control.Text{Sentence: "Die Verbindung steht, aber aus dem Haus kommt fast nichts zurück.",
			Next: "Der Betrieb prüft den Rückweg vom Haus zum Zugangsserver und die Firewall dahinter."},
		English: control.Text{Sentence: "The connection stands, but hardly anything comes back from the office.",
			Next: "The operator looks at the return route from the office to the gateway, and at the firewall behind it."}}
}

// clockOff is said in the same words by the control plane. off is by how much.
func clockOff(off phrase) *control.Problem {
	return &control.Problem{Code: control.CodeClockWrong, Who: control.Employee,
		German: control.Text{Sentence: "Die Uhr des Laptops geht falsch (" + off.german + ").",
			Next: "Die Uhr stellen, am besten von selbst über das Netz (NTP), dann neu verbinden."},
		English: control.Text{Sentence: "The laptop's clock is wrong (" + off.english + ").",
			Next: "Set the clock, best by itself over the network (NTP), then connect again."}}
}

// clockAhead puts into words how far a clock is ahead, or behind.
func clockAhead(d time.Duration) phrase {
	by := d.Abs().Round(time.Second).String()
	if d < 0 {
		return phrase{by + " nach", by + " slow"}
	}
	return phrase{by + " vor", by + " fast"}
}

func gatewayNotFound(host string) *control.Problem {
	return &control.Problem{Code: CodeGatewayNotFound, Who: control.Employee,
		German: control.Text{Sentence: "Die Adresse des Zugangsservers (" + host + ") ist nicht zu finden.",
			Next: "Prüfen Sie die Verbindung ins Internet. Es wird von selbst weiter versucht."},
		English: control.Text{Sentence: "The gateway's address (" + host + ") cannot be found.",
			Next: "Check the connection to the internet. Trying goes on by itself."}}
}

// gatewayInside says that the gateway lies in a network that is reached through it.
func gatewayInside(host string) error {
	return reject("der Zugangsserver (%s) liegt in einem Netz, das man nur durch ihn erreicht",
		"the gateway (%s) lies in a network that is reached only through it", host)
}

// controlPlaneAway says that the tunnel stands by itself for the time being.
func controlPlaneAway(cause error) *control.Problem {
	return &control.Problem{Code: CodeServerAway, Who: control.Nobody, Cause: cause,
		German: control.Text{Sentence: "Der Server, der die Verbindungen verwaltet, ist zurzeit nicht erreichbar. Ihre Verbindung steht weiter.",
			Next: "Nichts zu tun."},
		English: control.Text{Sentence: "The server that manages the connections cannot be reached at present. Your connection stands.",
			Next: "Nothing to do."}}
}

// serverErratic says that the control plane sends orders without end.
func serverErratic() *control.Problem {
	return &control.Problem{Code: CodeServerErratic, Who: control.Helpdesk, RetryAfter: slowly,
		German: control.Text{Sentence: "Der Server, der die Verbindungen verwaltet, schickt zu viele Anweisungen auf einmal.",
			Next: "Es wird von selbst weiter versucht. Hält das an, sagen Sie es dem Helpdesk."},
		English: control.Text{Sentence: "The server that manages the connections sends too many orders at once.",
			Next: "Trying goes on by itself. If this lasts, tell the helpdesk."}}
}

// captivePortal says that the network wants something of the person before it lets
// anything through. closed: the browser does not reach it, because all goes through a
// tunnel.
func captivePortal(page string, closed bool, cause error) *control.Problem {
	p := &control.Problem{Code: CodeCaptivePortal, Who: control.Employee, RetryAfter: slowly, Cause: cause,
		German: control.Text{Sentence: "Das Netz, in dem der Laptop ist, will erst eine Anmeldung im Browser (" + page + "): Hotel, Gast-WLAN, Zug.",
			Next: "Den Browser öffnen, eine beliebige Seite aufrufen und sich dort anmelden. Danach wird von selbst weiter versucht."},
		English: control.Text{Sentence: "The network that the laptop is in wants a sign-in in the browser first (" + page + "): hotel, guest Wi-Fi, train.",
			Next: "Open the browser, call up any page and sign in there. Trying then goes on by itself."}}
	if closed {
		p.German.Next = "Die Verbindung trennen (heimdraht-agent down), den Browser öffnen, eine beliebige Seite aufrufen und sich dort anmelden. Dann wieder verbinden: heimdraht-agent up."
		p.English.Next = "Disconnect (heimdraht-agent down), open the browser, call up any page and sign in there. Then connect again: heimdraht-agent up."
	}
	return p
}

// noNetwork says that the laptop has no way out at all.
func noNetwork(cause error) *control.Problem {
	return &control.Problem{Code: CodeNoNetwork, Who: control.Employee, RetryAfter: slowly, Cause: cause,
		German: control.Text{Sentence: "Der Laptop ist mit keinem Netz verbunden.",
			Next: "WLAN einschalten und verbinden, oder das Netzkabel stecken. Danach wird von selbst weiter versucht."},
		English: control.Text{Sentence: "The laptop is connected to no network.",
			Next: "Switch on Wi-Fi and connect to it, or plug in the cable. Trying then goes on by itself."}}
}

func serverSilent() *control.Problem {
	return &control.Problem{Code: CodeServerSilent, Who: control.Nobody,
		German: control.Text{Sentence: "Der Server hat nicht rechtzeitig geantwortet.",
			Next: "Versuchen Sie es in einigen Minuten wieder."},
		English: control.Text{Sentence: "The server did not answer in time.",
			Next: "Try again in a few minutes."}}
}

func serverMissing() *control.Problem {
	return &control.Problem{Code: CodeServerMissing, Who: control.Employee,
		German: control.Text{Sentence: "Es ist nicht bekannt, bei welchem Server sich dieser Laptop anmelden soll.",
			Next: "Geben Sie die Anmeldeadresse an, die Sie bekommen haben: heimdraht-agent enrol SERVER#FINGERABDRUCK --login NAME."},
		English: control.Text{Sentence: "It is not known with which server this laptop is to enrol.",
			Next: "State the enrolment address that you were given: heimdraht-agent enrol SERVER#FINGERPRINT --login NAME."}}
}

func addressInvalid(err error) *control.Problem {
	return &control.Problem{Code: CodeAddressInvalid, Who: control.Employee, Cause: err,
		German: control.Text{Sentence: "Die Anmeldeadresse ist nicht richtig geschrieben.",
			Next: "Sie hat die Form SERVER#FINGERABDRUCK oder SERVER:PORT#FINGERABDRUCK; der Fingerabdruck hat 64 Zeichen. Kopieren Sie sie am besten ganz."},
		English: control.Text{Sentence: "The enrolment address is not written correctly.",
			Next: "It has the form SERVER#FINGERPRINT or SERVER:PORT#FINGERPRINT; the fingerprint has 64 characters. Best copy it whole."}}
}

// askedOnce rewords the next steps that are true of connections only: an enrolment is not tried again by itself.
func askedOnce(p *control.Problem) *control.Problem {
	q := *p
	switch p.Code {
	case control.CodeServerUnreachable:
		q.German.Next = "Prüfen Sie die Verbindung ins Internet und die Adresse, dann melden Sie sich noch einmal an."
		q.English.Next = "Check the connection to the internet and the address, then enrol again."
	case control.CodeConnectionLost:
		q.German.Next = "Melden Sie sich noch einmal an."
		q.English.Next = "Enrol again."
	default:
		return p
	}
	return &q
}

func loginMissing() *control.Problem {
	return &control.Problem{Code: CodeLoginMissing, Who: control.Employee,
		German: control.Text{Sentence: "Der Benutzername fehlt, ist zu lang oder enthält unzulässige Zeichen.",
			Next: "Geben Sie den Namen an, mit dem Sie sich im Haus anmelden: --login NAME."},
		English: control.Text{Sentence: "The user name is missing, too long, or contains characters that are not allowed.",
			Next: "State the name with which you sign in at the office: --login NAME."}}
}

func passwordMissing() *control.Problem {
	return &control.Problem{Code: CodePasswordMissing, Who: control.Employee,
		German: control.Text{Sentence: "Das Passwort ist leer.",
			Next: "Geben Sie das Passwort ein, mit dem Sie sich im Haus anmelden."},
		English: control.Text{Sentence: "The password is empty.",
			Next: "Type the password with which you sign in at the office."}}
}

func passwordLong() *control.Problem {
	return &control.Problem{Code: CodePasswordLong, Who: control.Employee,
		German: control.Text{Sentence: "Das ist kein Passwort: Es ist zu lang oder hat mehrere Zeilen.",
			Next: "Prüfen Sie die Datei: Sie enthält das Passwort in einer Zeile und sonst nichts."},
		English: control.Text{Sentence: "That is no password: it is too long or has several lines.",
			Next: "Check the file: it contains the password on one line and nothing else."}}
}

func invitationInvalid() *control.Problem {
	return &control.Problem{Code: CodeInvitation,
		German:  control.Text{Sentence: "So sieht keine Einladung aus.", Next: "Eine Einladung ist ein Wort aus Buchstaben und Ziffern. Prüfen Sie, ob Sie die richtige Datei angegeben haben."},
		English: control.Text{Sentence: "That is not what an invitation looks like.", Next: "An invitation is one word of letters and digits. Check that you named the right file."}}
}
