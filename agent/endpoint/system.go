package endpoint

import (
	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// OrProxy adds to a next step what else there is where the system's network cannot be changed, if this program has it.
func OrProxy(next, lead string) string {
	if !wireguard.HasNetstack {
		return next
	}
	return next + " " + lead + ": heimdraht-agent run --userspace-proxy 127.0.0.1:1080."
}

// noTunnelDevice says that the system offers no interface.
func noTunnelDevice(system string) *control.Problem {
	if system != "linux" {
		return &control.Problem{Code: CodeNoTunnelDevice, Who: control.Helpdesk,
			German: control.Text{Sentence: "Diesem Laptop fehlt, was er für die Verbindung braucht.",
				Next: "Starten Sie ihn neu. Hilft das nicht, sagen Sie es dem Helpdesk."},
			English: control.Text{Sentence: "This laptop lacks what the connection needs.",
				Next: "Restart it. If that does not help, tell the helpdesk."}}
	}
	return &control.Problem{Code: CodeNoTunnelDevice, Who: control.Helpdesk,
		German: control.Text{Sentence: "Diesem Laptop fehlt, was er für die Verbindung braucht (/dev/net/tun).",
			Next: OrProxy("Laden Sie das Modul: modprobe tun.", "Geht das nicht")},
		English: control.Text{Sentence: "This laptop lacks what the connection needs (/dev/net/tun).",
			Next: OrProxy("Load the module: modprobe tun.", "If that is impossible")}}
}

// driverProblem says what is wrong with the driver that a laptop with Windows needs.
func driverProblem(e *wireguard.DriverError) *control.Problem {
	switch e.Problem {
	case wireguard.DriverMissing:
		return &control.Problem{Code: CodeDriverMissing, Who: control.Helpdesk,
			German: control.Text{Sentence: "Auf diesem Laptop fehlt ein Teil des Programms (" + e.Path + ").",
				Next: "Sagen Sie es dem Helpdesk: Die Softwareverteilung muss die Datei wintun.dll neben das Programm legen."},
			English: control.Text{Sentence: "A part of the program is missing on this laptop (" + e.Path + ").",
				Next: "Tell the helpdesk: the software distribution has to put the file wintun.dll beside the program."}}
	case wireguard.DriverRefused:
		return &control.Problem{Code: CodeDriverUnusable, Who: control.Helpdesk,
			German: control.Text{Sentence: "Ein Teil des Programms (" + e.Path + ") lässt sich auf diesem Laptop nicht benutzen.",
				Next: "Sagen Sie es dem Helpdesk: Die Datei muss zum Prozessor passen (amd64 oder arm64)."},
			English: control.Text{Sentence: "A part of the program (" + e.Path + ") cannot be used on this laptop.",
				Next: "Tell the helpdesk: the file has to fit the processor (amd64 or arm64)."}}
	case wireguard.DriverMisplaced:
		return &control.Problem{Code: CodeDriverMisplaced, Who: control.Helpdesk,
			German: control.Text{Sentence: "Das Programm liegt in einem Ordner, in dem es ausgetauscht werden könnte. Deshalb richtet es keine Verbindung ein.",
				Next: `Sagen Sie es dem Helpdesk: Das Programm gehört in einen Ordner unter C:\Program Files.`},
			English: control.Text{Sentence: "The program lies in a folder in which it could be exchanged. So it sets up no connection.",
				Next: `Tell the helpdesk: the program belongs into a folder below C:\Program Files.`}}
	}
	signer, von := "", ""
	if e.Signer != "" {
		signer, von = ": it is signed by "+e.Signer, ": Unterschrieben hat sie "+e.Signer
	}
	return &control.Problem{Code: CodeDriverUntrusted, Who: control.Helpdesk,
		German: control.Text{Sentence: "Ein Teil des Programms (" + e.Path + ") ist nicht das Original" + von + ". Er wurde nicht benutzt.",
			Next: "Sagen Sie es dem Helpdesk. Er verteilt das Programm neu und geht der Sache nach."},
		English: control.Text{Sentence: "A part of the program (" + e.Path + ") is not the original" + signer + ". It was not used.",
			Next: "Tell the helpdesk, who distributes the program anew and looks into it."}}
}
