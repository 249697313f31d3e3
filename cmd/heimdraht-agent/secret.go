package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

// longestLine bounds what is typed or read as a name or password.
const longestLine = 4096

// password comes from a file, from standard input ("-"), or from the terminal without echo ("").
func (a *app) password(ctx context.Context, file string) (string, error) {
	switch file {
	case "":
		s, err := terminal.Secret(ctx, a.in, a.err, words{"Passwort: ", "Password: "}.in(a.language))
		return s, a.unasked(err, "--password-file")
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
		command: "heimdraht-agent enrol",
	}
}
