package control

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The codes of problems that an agent finds by itself.
const (
	CodeWrongPin          = "wrong-pin"
	CodeServerUntrusted   = "server-untrusted"
	CodeServerUnreachable = "server-unreachable"
	CodeConnectionLost    = "connection-lost"
	CodeServerOld         = "server-too-old"
	CodeServerFault       = "server-fault"
	CodeTooLarge          = "message-too-large"
	CodeClockWrong        = "clock-wrong"
	CodeStateUnusable     = "state-unusable"
	CodeStateInUse        = "state-in-use"
	CodeNotEnrolled       = "not-enrolled"
	CodeConfigRefused     = "configuration-refused"
)

func wrongPin(server string, want, got Fingerprint) *Problem {
	shown, gezeigt := "its fingerprint is none that it could be compared with", "Er zeigt keinen Fingerabdruck, der sich vergleichen ließe"
	if !got.IsZero() {
		shown, gezeigt = "its fingerprint is "+got.String(), "Sein Fingerabdruck ist "+got.String()
	}
	return &Problem{Code: CodeWrongPin, Who: Helpdesk,
		German: Text{
			fmt.Sprintf("Der Server %s ist nicht der erwartete: %s, erwartet wird %s. Es wurde nichts gesendet.", server, gezeigt, want),
			"Vergleichen Sie die Adresse mit der, die Sie bekommen haben, Zeichen für Zeichen. Stimmt sie, sagen Sie es dem Helpdesk: Jemand könnte mitlesen wollen."},
		English: Text{
			fmt.Sprintf("The server %s is not the expected one: %s, expected is %s. Nothing was sent.", server, shown, want),
			"Compare the address with the one you were given, character by character. If it is right, tell the helpdesk: somebody may be trying to listen in."}}
}

func serverUntrusted(server, warum, why string) *Problem {
	return &Problem{Code: CodeServerUntrusted, Who: Operator,
		German: Text{
			fmt.Sprintf("Der Server %s kann sich nicht ausweisen: %s. Es wurde nichts gesendet.", server, warum),
			"Prüfen Sie die Adresse. Stimmt sie, braucht der Betrieb diesen Satz."},
		English: Text{
			fmt.Sprintf("The server %s cannot prove who it is: %s. Nothing was sent.", server, why),
			"Check the address. If it is right, give this sentence to the operator."}}
}

func serverUnreachable(german, english []string) *Problem {
	return &Problem{Code: CodeServerUnreachable, Who: Employee, RetryAfter: 250 * time.Millisecond,
		German: Text{
			fmt.Sprintf("Der Server ist nicht erreichbar (%s).", strings.Join(german, "; ")),
			"Prüfen Sie die Verbindung ins Internet und die Adresse. Es wird von selbst weiter versucht."},
		English: Text{
			fmt.Sprintf("The server cannot be reached (%s).", strings.Join(english, "; ")),
			"Check the connection to the internet and the address. Trying goes on by itself."}}
}

func connectionLost() *Problem {
	return &Problem{Code: CodeConnectionLost, Who: Nobody, RetryAfter: 250 * time.Millisecond,
		German:  Text{"Die Verbindung zum Server ist abgerissen.", "Nichts zu tun: Es wird von selbst weiter versucht."},
		English: Text{"The connection to the server was lost.", "Nothing to do: trying goes on by itself."}}
}

func serverOld() *Problem {
	return &Problem{Code: CodeServerOld, Who: Operator,
		German:  Text{"Der Server versteht diese Anfrage nicht: Er ist älter als dieses Programm, oder es ist ein anderer Dienst.", "Prüfen Sie die Adresse; sonst muss der Betrieb den Server aktualisieren."},
		English: Text{"The server does not know this request: it is older than this program, or it is another service.", "Check the address; else the operator must update the server."}}
}

// tooLarge is for a message so large that it was not even read, or an answer
// that this program does not take in.
func tooLarge() *Problem {
	return &Problem{Code: CodeTooLarge, Who: Employee,
		German:  Text{"Die Anfrage oder die Antwort ist zu groß.", "Teilen Sie sie auf, oder verlangen Sie weniger auf einmal."},
		English: Text{"The request or its answer is too large.", "Split it, or ask for less at once."}}
}

func serverFault(id string) *Problem {
	nummer, number := "", ""
	if id != "" {
		nummer, number = " (Fehler "+id+")", " (fault "+id+")"
	}
	return &Problem{Code: CodeServerFault, Who: Operator, RetryAfter: 10 * time.Second,
		German:  Text{"Im Server ist etwas schiefgegangen" + nummer + ".", "Versuchen Sie es gleich noch einmal. Bleibt der Fehler, hilft dem Betrieb die Nummer weiter."},
		English: Text{"Something went wrong in the server" + number + ".", "Try again in a moment. If the fault stays, its number helps the operator."}}
}

func clockWrong(now, from, until time.Time) *Problem {
	const shape = "2006-01-02 15:04 MST"
	n, f, u := now.UTC().Format(shape), from.UTC().Format(shape), until.UTC().Format(shape)
	return &Problem{Code: CodeClockWrong, Who: Employee,
		German: Text{
			fmt.Sprintf("Der Ausweis des Servers gilt von %s bis %s, die Uhr hier zeigt %s.", f, u, n),
			"Stellen Sie die Uhr dieses Rechners. Stimmt sie, muss der Betrieb den Ausweis (Zertifikat) des Servers erneuern."},
		English: Text{
			fmt.Sprintf("The server's certificate is valid from %s to %s, and the clock here shows %s.", f, u, n),
			"Set this machine's clock. If it is right, the operator must renew the server's certificate."}}
}

// ClockOff says that this machine's clock differs from the control plane's.
// ahead is positive if it is fast.
func ClockOff(ahead time.Duration) *Problem {
	geht, is := "vor", "fast"
	if ahead < 0 {
		geht, is, ahead = "nach", "slow", -ahead
	}
	by := ahead.Round(time.Second)
	return &Problem{Code: CodeClockWrong, Who: Employee,
		German:  Text{fmt.Sprintf("Die Uhr dieses Rechners geht %v %s.", by, geht), "Stellen Sie die Uhr, am besten von selbst über das Netz (NTP)."},
		English: Text{fmt.Sprintf("This machine's clock is %v %s.", by, is), "Set it, best by itself over the network (NTP)."}}
}

// StateUnusable says that an agent's own files cannot be read or written.
func StateUnusable(dir string, cause error) *Problem {
	warum, why := SystemSays(cause)
	return &Problem{Code: CodeStateUnusable, Who: Helpdesk, Cause: cause,
		German:  Text{fmt.Sprintf("Der Ordner %s kann nicht benutzt werden: %s.", dir, warum), "Er muss dem Programm gehören (Rechte 0700), und auf dem Datenträger muss Platz sein."},
		English: Text{fmt.Sprintf("The folder %s cannot be used: %s.", dir, why), "It must belong to the program (mode 0700), and the disk must have room."}}
}

// StateInUse says that another agent runs on the same files.
func StateInUse(dir string, cause error) *Problem {
	return &Problem{Code: CodeStateInUse, Who: Employee, Cause: cause,
		German:  Text{fmt.Sprintf("Mit dem Ordner %s arbeitet schon ein anderes Programm.", dir), "Läuft der Dienst schon? Dann ist nichts zu tun. Sonst beenden Sie das andere Programm."},
		English: Text{fmt.Sprintf("Another program works with the folder %s already.", dir), "Does the service run already? Then there is nothing to do. Else stop the other program."}}
}

// NotEnrolled says that there is no certificate yet. command is what makes
// one: "heimdraht-agent enrol".
func NotEnrolled(command string) *Problem {
	return &Problem{Code: CodeNotEnrolled, Who: Employee,
		German:  Text{"Dieser Rechner ist noch nicht angemeldet.", "Melden Sie ihn an: " + command + "."},
		English: Text{"This machine is not enrolled yet.", "Enrol it: " + command + "."}}
}

// ConfigRefused says that the control plane sent what this agent does not
// install.
func ConfigRefused(cause error) *Problem {
	return &Problem{Code: CodeConfigRefused, Who: Operator, Cause: cause, RetryAfter: 30 * time.Second,
		German:  Text{fmt.Sprintf("Der Server hat etwas geschickt, das hier nicht eingerichtet wird: %v.", cause), "Der Betrieb muss die Einstellungen auf dem Server berichtigen."},
		English: Text{fmt.Sprintf("The server sent something that is not installed here: %v.", cause), "The operator must correct the settings on the server."}}
}

// Catalogue lists the problems that every agent can meet, for the page that lists
// them. What a name in braces stands for differs from case to case.
func Catalogue() []*Problem {
	const server = "{server}"
	fill := errors.New("{cause}")
	return []*Problem{
		{
			Code: CodeWrongPin, Who: Helpdesk,
			German:  Text{"Der Server " + server + " ist nicht der erwartete. Es wurde nichts gesendet.", wrongPin(server, Fingerprint{}, Fingerprint{}).German.Next},
			English: Text{"The server " + server + " is not the expected one. Nothing was sent.", wrongPin(server, Fingerprint{}, Fingerprint{}).English.Next},
		},
		serverUntrusted(server, "{why}", "{why}"), serverUnreachable([]string{"{why}"}, []string{"{why}"}), connectionLost(), serverOld(),
		tooLarge(), serverFault("{id}"),
		StateUnusable("{folder}", fill), StateInUse("{folder}", nil), NotEnrolled("heimdraht-agent enrol"), ConfigRefused(fill),
	}
}
