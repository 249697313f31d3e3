package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// usageError says that the command line cannot be right.
type usageError struct {
	what    string
	command string // whose --help tells more
}

// Error names what is wrong.
func (e usageError) Error() string { return e.what }

// The codes that this program adds to those of its packages.
const (
	codeFileUnusable = "file-unusable"
	codeFileInvalid  = "file-invalid"
	codeFailed       = "failed"
	codeInterrupted  = "interrupted"
	codeNoAnswer     = "no-answer"
	codeUsage        = "wrong-usage"
	codeNotRunning   = "not-running"
)

func problem(code string, sentence, next words) *control.Problem {
	return &control.Problem{
		Code:    code,
		German:  control.Text{Sentence: sentence.de, Next: next.de},
		English: control.Text{Sentence: sentence.en, Next: next.en},
	}
}

// fileUnusable says that a file that was named cannot be used. why holds
// nothing of what is in it.
func fileUnusable(file string, why words) *control.Problem {
	return problem(codeFileUnusable,
		words{fmt.Sprintf("Die Datei %s lässt sich nicht benutzen: %s.", file, why.de), fmt.Sprintf("The file %s cannot be used: %s.", file, why.en)},
		words{"Prüfen Sie Namen, Rechte und Inhalt der Datei.", "Check the file's name, its rights and what is in it."})
}

// unreadable is fileUnusable for what the operating system says.
func unreadable(file string, err error) *control.Problem {
	german, english := control.SystemSays(err)
	return fileUnusable(file, words{german, english})
}

// openState takes the state directory.
func openState(path string) (*state.Dir, error) {
	dir, err := state.Open(path)
	switch {
	case err == nil:
		return dir, nil
	case errors.Is(err, state.ErrInUse):
		return nil, control.StateInUse(path, err)
	}
	return nil, control.StateUnusable(path, err)
}

// fail prints an error and gives the exit status; nil is done.
func (a *app) fail(err error) int {
	if err == nil {
		return exitDone
	}
	var usage usageError
	if errors.As(err, &usage) {
		a.complain(codeUsage, usage.what, words{"Hilfe: ", "Help: "}.in(a.language)+usage.command+" --help")
		return exitUsage
	}
	var invalid config.Problems
	if errors.As(err, &invalid) {
		a.complain(codeFileInvalid, invalid.Error(), words{"Berichtigen Sie die Datei.", "Correct the file."}.in(a.language))
		return exitFailed
	}
	if p, ok := control.AsProblem(err); ok {
		t := reword(p).Text(string(a.language))
		a.complain(p.Code, t.Sentence, t.Next)
		return exitFailed
	}
	switch {
	case errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled:
		a.complain(codeInterrupted, words{"Abgebrochen.", "Interrupted."}.in(a.language), "")
	case errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded:
		a.complain(codeNoAnswer, words{"Der Server hat nicht rechtzeitig geantwortet.", "The server did not answer in time."}.in(a.language),
			words{"Versuchen Sie es noch einmal. Gilt der einmalige Schlüssel nicht mehr, lassen Sie sich einen neuen geben.", "Try again. If the one-time token is no longer valid, ask for a new one."}.in(a.language))
	default:
		a.complain(codeFailed, err.Error(), "")
	}
	return exitFailed
}

// reword replaces the next steps that are true for the running service only:
// it tries again by itself, a command does not.
func reword(p *control.Problem) *control.Problem {
	var next words
	switch p.Code {
	case control.CodeServerUnreachable:
		next = words{"Prüfen Sie das Netz und die Adresse, dann versuchen Sie es noch einmal.", "Check the network and the address, then try again."}
	case control.CodeConnectionLost:
		next = words{"Versuchen Sie es noch einmal. Gilt der einmalige Schlüssel nicht mehr, lassen Sie sich einen neuen geben.", "Try again. If the one-time token is no longer valid, ask for a new one."}
	default:
		return p
	}
	q := *p
	q.German.Next, q.English.Next = next.de, next.en
	return &q
}

// complain prints what happened, what to do and the code.
func (a *app) complain(code, sentence, next string) {
	text := words{"Fehler", "Error"}.in(a.language) + ": " + terminal.HarmlessLines(sentence) + "\n"
	if next != "" {
		text += terminal.HarmlessLines(next) + "\n"
	}
	a.print(a.err, text+"("+terminal.HarmlessLines(code)+")\n")
}
