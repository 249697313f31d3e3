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

// The longest secret that is read. A token has 52 characters; directories cut
// connections at passwords of a megabyte.
const longestSecret = 4096

// secret reads a password or token from a file, from standard input ("-"), or
// from the terminal without echo (""). flag is what to use without a terminal.
func (a *app) secret(ctx context.Context, file, flag string, question words) (string, error) {
	switch {
	case file == "-":
		return readSecret(a.world.in, "-")
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return "", unreadable(file, err)
		}
		defer f.Close()
		return readSecret(f, file)
	}
	s, err := terminal.Secret(ctx, a.world.in, a.printer.err, question.in(a.language))
	return a.typed(s, err, flag)
}

// readSecret takes the only line. More lines are a mistake: the wrong file.
func readSecret(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, longestSecret+1))
	if err != nil {
		return "", unreadable(name, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return "", fileUnusable(name, "sie ist leer", "it is empty")
	case len(b) > longestSecret:
		return "", fileUnusable(name, fmt.Sprintf("sie hat mehr als %d Bytes", longestSecret), fmt.Sprintf("it has more than %d bytes", longestSecret))
	case bytes.ContainsAny(b, "\n\r\x00"):
		return "", fileUnusable(name, "sie hat mehr als eine Zeile", "it has more than one line")
	}
	return string(b), nil
}

// line asks for something that is no secret. flag is what to use without a
// terminal.
func (a *app) line(ctx context.Context, flag string, question words) (string, error) {
	s, err := terminal.Line(ctx, a.world.in, a.printer.err, question.in(a.language))
	return a.typed(s, err, flag)
}

// typed wants an answer, and a terminal to get it from.
func (a *app) typed(answer string, err error, flag string) (string, error) {
	switch {
	case errors.Is(err, terminal.ErrNone):
		return "", usageError{
			fmt.Sprintf(words{"kein Terminal, um zu fragen: benutzen Sie %s", "no terminal to ask on: use %s"}.in(a.language), flag), "heimdraht login"}
	case err == nil && answer == "":
		return "", usageError{words{"nichts eingegeben", "nothing was typed"}.in(a.language), "heimdraht login"}
	}
	return answer, err
}
