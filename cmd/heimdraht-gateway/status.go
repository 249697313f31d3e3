package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

type statusCommand struct {
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"text|json" help:"${status_output}"`
}

// answer is the status as programs get it.
type answer struct {
	gateway.Status
	// Running is false if the service has not written its status for a while.
	Running bool `json:"running"`
}

// Run shows what the service has last written down. A service that does not
// run or is not connected is exit status 1, so that monitoring can ask.
func (c *statusCommand) Run(a *app) error {
	settings, _, err := a.settings()
	if err != nil {
		return err
	}
	s, err := gateway.ReadStatus(settings.StateDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notRunning(words{"Der Dienst ist noch nie gelaufen.", "The service has never run."})
	case err != nil:
		return unreadable(settings.StateDir, err)
	}
	got := answer{Status: s, Running: time.Since(s.WrittenAt) < gateway.StatusStale}
	if c.Output == "json" {
		b, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			return fmt.Errorf("writing the status: %w", err)
		}
		a.print(a.out, string(b)+"\n")
	} else {
		a.print(a.out, a.table(got))
	}
	if !got.Running {
		return notRunning(words{
			fmt.Sprintf("Der Dienst läuft nicht, oder er kann %s nicht beschreiben.", settings.StateDir),
			fmt.Sprintf("The service does not run, or it cannot write to %s.", settings.StateDir)})
	}
	if len(s.Problems) > 0 {
		p := s.Problems[0]
		return problem(p.Code, words{p.GermanSentence, p.Sentence}, words{p.GermanNext, p.Next})
	}
	return nil
}

func notRunning(sentence words) error {
	return problem(codeNotRunning, sentence, words{
		"Starten Sie ihn: systemctl start heimdraht-gateway. Warum er endet, zeigt: journalctl -u heimdraht-gateway.",
		"Start it: systemctl start heimdraht-gateway. Why it ends, shows: journalctl -u heimdraht-gateway."})
}

// table is the status for people.
func (a *app) table(s answer) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(label words, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", label.in(a.language), terminal.Harmless(fmt.Sprintf(format, args...)))
	}
	row(words{"Zugangsserver", "Gateway"}, "%s", orDash(s.Name))
	row(words{"Server", "Control plane"}, "%s, %s", orDash(s.Server), a.connection(s))
	row(words{"Letzter Kontakt", "Last contact"}, "%s", a.moment(s.LastContact))
	if !s.GraceEnds.IsZero() {
		row(words{"Tunnel bleiben bis", "Tunnels stay until"}, "%s", a.moment(s.GraceEnds))
	}
	if s.Suspended {
		row(words{"Tunnel", "Tunnels"}, "%s", words{"entfernt: zu lange ohne Kontakt", "removed: too long without contact"}.in(a.language))
	}
	row(words{"Schnittstelle", "Interface"}, "%s", a.device(s))
	row(words{"Tunnel", "Peers"}, "%d / %d", s.Peers, s.Wanted)
	row(words{"Stand", "Revision"}, "%d / %d (%s)", s.Applied, s.Revision, orDash(s.Epoch))
	row(words{"Schlüssel", "Public key"}, "%s", s.PublicKey)
	row(words{"Version", "Version"}, "%s", s.Version)
	if err := w.Flush(); err != nil {
		return b.String()
	}
	return b.String()
}

func (a *app) connection(s answer) string {
	switch {
	case !s.Running:
		return words{"Dienst läuft nicht", "service not running"}.in(a.language)
	case s.Connected:
		return words{"verbunden", "connected"}.in(a.language)
	}
	return words{"nicht verbunden", "not connected"}.in(a.language)
}

func (a *app) device(s answer) string {
	if s.Mode == "" {
		return words{"noch keine", "none yet"}.in(a.language)
	}
	return fmt.Sprintf("%s, %s, UDP %d", orDash(s.Interface), s.Mode, s.ListenPort)
}

func (a *app) moment(t time.Time) string {
	if t.IsZero() {
		return words{"nie", "never"}.in(a.language)
	}
	if a.language == speech.German {
		return t.Local().Format("02.01.2006 15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type versionCommand struct{}

// Run shows which program this is.
func (versionCommand) Run(a *app) error {
	_, err := fmt.Fprintf(a.out, "heimdraht-gateway %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is what the Go toolchain recorded of the source.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
