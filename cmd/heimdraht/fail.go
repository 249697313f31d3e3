package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// usageError says that the command line cannot be right.
type usageError struct {
	what    string
	command string // whose --help tells more
}

func (e usageError) Error() string { return e.what }

// The codes that this program adds to those of the control plane and of
// package control.
const (
	codeNotSignedIn   = "not-signed-in"
	codeNotConfirmed  = "not-confirmed"
	codeNothingDone   = "nothing-done"
	codeFileInvalid   = "file-invalid"
	codeFileUnusable  = "file-unusable"
	codeFailed        = "failed"
	codeInterrupted   = "interrupted"
	codeNoAnswer      = "no-answer"
	codeUsage         = "wrong-usage"
	codeStillSignedIn = "still-signed-in"
	codeNotInOrder    = "not-in-order"
	codeAuditBroken   = "audit-broken"
	codeLinesRefused  = "lines-refused"
	codeAmbiguous     = "ambiguous"
)

func problem(code string, sentence, next words) *control.Problem {
	return &control.Problem{
		Code:    code,
		German:  control.Text{Sentence: sentence.de, Next: next.de},
		English: control.Text{Sentence: sentence.en, Next: next.en},
	}
}

// fileUnusable says that a file that was named cannot be used. why holds nothing
// of what is in it.
func fileUnusable(file, warum, why string) *control.Problem {
	return problem(codeFileUnusable,
		words{fmt.Sprintf("Die Datei %s lässt sich nicht benutzen: %s.", file, warum), fmt.Sprintf("The file %s cannot be used: %s.", file, why)},
		words{"Prüfen Sie Namen, Rechte und Inhalt der Datei.", "Check the file's name, its rights and what is in it."})
}

// unreadable is fileUnusable for what the operating system says.
func unreadable(file string, err error) *control.Problem {
	german, english := control.SystemSays(err)
	return fileUnusable(file, german, english)
}

// fail prints an error and gives the exit status; nil is done.
func (p *printer) fail(err error) int {
	if err == nil {
		return exitDone
	}
	var usage usageError
	if errors.As(err, &usage) {
		p.complain(codeUsage, usage.what, words{"Hilfe: ", "Help: "}.in(p.language)+usage.command+" --help")
		return exitUsage
	}
	var invalid config.Problems
	if errors.As(err, &invalid) {
		p.complain(codeFileInvalid, invalid.Error(), words{"Berichtigen Sie die Datei. Es wurde nichts geändert.", "Correct the file. Nothing was changed."}.in(p.language))
		return exitFailed
	}
	if refusal, ok := control.AsProblem(err); ok {
		t := p.reword(refusal).Text(string(p.language))
		p.complain(refusal.Code, t.Sentence, t.Next)
		return exitFailed
	}
	switch {
	case errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled:
		p.complain(codeInterrupted, words{"Abgebrochen.", "Interrupted."}.in(p.language),
			words{"Was schon begonnen war, kann trotzdem geschehen sein: Sehen Sie nach.", "What had begun may have happened all the same: have a look."}.in(p.language))
	case errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded:
		p.complain(codeNoAnswer, serverLate().in(p.language),
			words{"Was verlangt war, kann trotzdem geschehen sein: Sehen Sie nach, oder wiederholen Sie den Befehl.", "What was asked for may have happened all the same: have a look, or repeat the command."}.in(p.language))
	default:
		p.complain(codeFailed, err.Error(), "")
	}
	return exitFailed
}

func serverLate() words {
	return words{"Der Server hat nicht rechtzeitig geantwortet.", "The server did not answer in time."}
}

// reword replaces the next steps that are true for agents only: they try again
// by themselves, this program does not.
func (p *printer) reword(refusal *control.Problem) *control.Problem {
	var next words
	switch refusal.Code {
	case control.CodeServerUnreachable:
		next = words{"Prüfen Sie das Netz und die Adresse, dann versuchen Sie es noch einmal.", "Check the network and the address, then try again."}
	case control.CodeConnectionLost:
		next = words{"Was verlangt war, kann trotzdem geschehen sein: Sehen Sie nach, oder wiederholen Sie den Befehl.", "What was asked for may have happened all the same: have a look, or repeat the command."}
	default:
		return refusal
	}
	r := *refusal
	r.German.Next, r.English.Next = next.de, next.en
	return &r
}

// complain prints what happened, what to do and the code. What happened may
// have several lines.
func (p *printer) complain(code, sentence, next string) {
	if p.form == formJSON {
		b := orderedObject{{"error", orderedObject{{"code", code}, {"sentence", sentence}, {"next_step", next}}}}
		q := *p
		q.out = p.err
		if err := q.json(b); err == nil {
			return
		}
	}
	fmt.Fprintf(p.err, "%s: %s\n", words{"Fehler", "Error"}.in(p.language), terminal.HarmlessLines(sentence))
	if next != "" {
		fmt.Fprintln(p.err, terminal.Harmless(next))
	}
	fmt.Fprintf(p.err, "(%s)\n", terminal.Harmless(code))
}

// hint is a remark beside the answer, for people only.
func (p *printer) hint(w words, args ...any) {
	if p.form != formTable {
		return
	}
	fmt.Fprintln(p.err, terminal.Harmless(fmt.Sprintf(w.in(p.language), args...)))
}

// say prints a line of the answer, in the form for people only.
func (p *printer) say(w words, args ...any) {
	fmt.Fprintln(p.out, terminal.Harmless(fmt.Sprintf(w.in(p.language), args...)))
}

// while shows on a terminal what is being waited for.
func (p *printer) while(w words, wait func() error) error {
	if !p.progress || p.form != formTable {
		return wait()
	}
	text := w.in(p.language)
	fmt.Fprint(p.err, text)
	err := wait()
	fmt.Fprint(p.err, "\r", strings.Repeat(" ", columnsOf(text)), "\r")
	return err
}
