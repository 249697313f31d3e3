package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

// longestLine bounds what is typed or read as a name or password.
const longestLine = 4096

func passwordQuestion() words { return words{"Passwort: ", "Password: "} }

// secret comes from a file, from standard input ("-"), or from the terminal without echo ("").
func (a *app) secret(ctx context.Context, file, flag string, question words) (string, error) {
	switch file {
	case "":
		s, err := terminal.Secret(ctx, a.in, a.err, question.in(a.language))
		return s, a.unasked(err, flag)
	case "-":
		return readPassword(a.in, "-")
	}
	return readPasswordFile(file)
}

// invitation comes from a file or from standard input ("-"), which is asked on if it is a terminal.
func (a *app) invitation(ctx context.Context, file string) (string, error) {
	if file != "-" {
		return readPasswordFile(file)
	}
	s, err := terminal.Secret(ctx, a.in, a.err, words{"Einladung: ", "Invitation: "}.in(a.language))
	if errors.Is(err, terminal.ErrNone) {
		return readPassword(a.in, "-")
	}
	return s, err
}

func readPasswordFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fileUnusable(file, plain(err))
	}
	defer f.Close()
	return readPassword(f, file)
}

// onlyOne says that standard input can be one of several things only.
func onlyOne(a *app, command string, files ...string) error {
	stdin := 0
	for _, file := range files {
		if file == "-" {
			stdin++
		}
	}
	if stdin < 2 {
		return nil
	}
	return usageError{what: words{"nur eine der Dateien kann - sein", "only one of the files can be -"}.in(a.language), command: command}
}

// tries is how often a code is asked for.
const tries = 3

// withCode does what may take a code from the phone, and asks for one if it does. A file is read beforehand and shown once.
func (a *app) withCode(ctx context.Context, file string, do func(code string) error) error {
	code := ""
	if file != "" {
		var err error
		if code, err = a.secret(ctx, file, "--code-file", words{}); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		err := do(code)
		p, _ := control.AsProblem(err)
		if p == nil || file != "" || try > tries || p.Code != codeFactorNeeded && p.Code != codeFactorWrong {
			return err
		}
		if p.Code == codeFactorWrong {
			a.fail(err)
		}
		if code, err = a.secret(ctx, "", "--code-file", words{"Code vom Telefon, oder ein Ersatzcode: ", "Code from the phone, or a recovery code: "}); err != nil {
			return err
		}
	}
}

// The codes of refusals upon which a code is asked for. They are those of the protocol.
const (
	codeFactorNeeded = "factor-needed"
	codeFactorWrong  = "factor-wrong"
)

// readPassword takes the only line. More lines are a mistake: the wrong file.
func readPassword(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, longestLine+1))
	if err != nil {
		return "", fileUnusable(name, plain(err))
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return "", fileUnusable(name, words{"sie ist leer", "it is empty"})
	case len(b) > longestLine:
		return "", fileUnusable(name, words{"sie ist zu lang für ein Passwort", "it is too long for a password"})
	case bytes.ContainsAny(b, "\n\r\x00"):
		return "", fileUnusable(name, words{"sie hat mehr als eine Zeile", "it has more than one line"})
	}
	return string(b), nil
}

// login asks for the name, which may be seen.
func (a *app) login(ctx context.Context) (string, error) {
	s, err := terminal.Line(ctx, a.in, a.err, words{"Benutzername: ", "User name: "}.in(a.language))
	return s, a.unasked(err, "--login")
}

// unasked says what to use where there is no terminal to ask on.
func (a *app) unasked(err error, flag string) error {
	if !errors.Is(err, terminal.ErrNone) {
		return err
	}
	return usageError{
		what:    fmt.Sprintf(words{"kein Terminal, um zu fragen: benutzen Sie %s", "no terminal to ask on: use %s"}.in(a.language), flag),
		command: a.command,
	}
}
