package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// The codes of problems that only gateways have.
const (
	CodeNotJoined    = "not-joined"
	CodeJoined       = "already-joined"
	CodePortInUse    = "port-in-use"
	CodeNoRights     = "no-rights"
	CodeInterface    = "interface-failed"
	CodeNameTaken    = "interface-name-taken"
	CodeFilter       = "filter-failed"
	CodeStreamEnded  = "stream-ended"
	codeTokenMissing = "token-missing"
)

// What people type.
const (
	joinCommand   = "heimdraht-gateway join SERVER#FINGERPRINT"
	inviteCommand = "heimdraht gateway token NAME"
)

func notJoined() *control.Problem {
	return &control.Problem{Code: CodeNotJoined,
		German:  control.Text{Sentence: "Dieser Zugangsserver gehört noch zu keinem Server.", Next: "Lassen Sie ihn beitreten: " + joinCommand + ". Den einmaligen Schlüssel macht dort: " + inviteCommand + "."},
		English: control.Text{Sentence: "This gateway belongs to no control plane yet.", Next: "Let it join one: " + joinCommand + ". The one-time token is made there: " + inviteCommand + "."}}
}

func alreadyJoined(server string) *control.Problem {
	return &control.Problem{Code: CodeJoined,
		German:  control.Text{Sentence: "Dieser Zugangsserver gehört schon zu " + server + ".", Next: "Soll er neu beitreten, mit neuen Schlüsseln, sagen Sie es mit --again."},
		English: control.Text{Sentence: "This gateway belongs to " + server + " already.", Next: "If it shall join anew, with new keys, say so with --again."}}
}

func tokenMissing() *control.Problem {
	return &control.Problem{Code: codeTokenMissing,
		German:  control.Text{Sentence: "Der einmalige Schlüssel fehlt.", Next: "Er wird auf dem Server gemacht: " + inviteCommand + "."},
		English: control.Text{Sentence: "The one-time token is missing.", Next: "It is made on the control plane: " + inviteCommand + "."}}
}

func streamEnded(cause error) *control.Problem {
	return &control.Problem{Code: CodeStreamEnded, Cause: cause, RetryAfter: 250 * time.Millisecond,
		German:  control.Text{Sentence: "Der Server hat die Verbindung beendet.", Next: "Nichts zu tun: Es wird von selbst weiter versucht."},
		English: control.Text{Sentence: "The control plane ended the connection.", Next: "Nothing to do: trying goes on by itself."}}
}

// deviceProblem says why there is no interface, and what to do.
func deviceProblem(setup Setup, err error) *control.Problem {
	if p, ok := control.AsProblem(err); ok {
		return p
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &control.Problem{Code: CodePortInUse, Cause: err, RetryAfter: retryDevice,
			German:  control.Text{Sentence: fmt.Sprintf("Der UDP-Port %d ist belegt.", setup.ListenPort), Next: "Beenden Sie das andere Programm (ss -lunp zeigt es), oder geben Sie dem Zugangsserver einen anderen Port."},
			English: control.Text{Sentence: fmt.Sprintf("UDP port %d is in use.", setup.ListenPort), Next: "Stop the other program (ss -lunp shows it), or give the gateway another port."}}
	case errors.Is(err, wireguard.ErrNameTaken):
		return &control.Problem{Code: CodeNameTaken, Cause: err, RetryAfter: retryDevice,
			German:  control.Text{Sentence: fmt.Sprintf("Es gibt schon eine andere Schnittstelle dieses Namens, und sie bleibt, wie sie ist: %v.", err), Next: "Entfernen Sie sie (ip link show zeigt sie), oder geben Sie dem Zugangsserver in gateway.yaml einen anderen Namen: interface. Es wird von selbst weiter versucht."},
			English: control.Text{Sentence: fmt.Sprintf("There is another interface of that name already, and it stays as it is: %v.", err), Next: "Remove it (ip link show lists it), or give the gateway another name in gateway.yaml: interface. Trying goes on by itself."}}
	case errors.Is(err, firewall.ErrUnusable):
		return &control.Problem{Code: CodeFilter, Cause: err, RetryAfter: retryDevice,
			German:  control.Text{Sentence: fmt.Sprintf("Der Paketfilter lässt sich nicht einrichten, und ohne ihn wird niemand eingelassen: %v.", err), Next: "Der Kernel braucht nftables mit Verbindungsverfolgung (modprobe nf_tables nft_ct), das Programm CAP_NET_ADMIN. Es wird von selbst weiter versucht."},
			English: control.Text{Sentence: fmt.Sprintf("The packet filter cannot be set up, and without it nobody is let in: %v.", err), Next: "The kernel needs nftables with connection tracking (modprobe nf_tables nft_ct), the program CAP_NET_ADMIN. Trying goes on by itself."}}
	case errors.Is(err, fs.ErrPermission):
		return &control.Problem{Code: CodeNoRights, Cause: err, RetryAfter: retryDevice,
			German:  control.Text{Sentence: "Das Programm darf keine Netzwerkschnittstelle anlegen.", Next: "Starten Sie es als Dienst (systemctl start heimdraht-gateway) oder als root: Es braucht CAP_NET_ADMIN."},
			English: control.Text{Sentence: "The program may not make a network interface.", Next: "Start it as a service (systemctl start heimdraht-gateway) or as root: it needs CAP_NET_ADMIN."}}
	}
	return &control.Problem{Code: CodeInterface, Cause: err, RetryAfter: retryDevice,
		German:  control.Text{Sentence: fmt.Sprintf("Die WireGuard-Schnittstelle kommt nicht zustande: %v.", err), Next: "Es wird von selbst weiter versucht. Fehlt /dev/net/tun oder das Modul wireguard, muss es die Maschine bekommen."},
		English: control.Text{Sentence: fmt.Sprintf("The WireGuard interface cannot be made: %v.", err), Next: "Trying goes on by itself. If /dev/net/tun or the module wireguard is missing, the machine must get it."}}
}

func storedProblem(p *control.Problem) StatusProblem {
	return StatusProblem{Code: p.Code, GermanSentence: p.German.Sentence, GermanNext: p.German.Next,
		Sentence: p.English.Sentence, Next: p.English.Next}
}
