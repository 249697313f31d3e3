package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

// longestToken is far more than a token has.
const longestToken = 4096

// token reads the one-time token from a file, from standard input ("-"), or
// from the terminal without echo ("").
func (a *app) token(ctx context.Context, file string) (string, error) {
	switch file {
	case "":
		return a.ask(ctx)
	case "-":
		return readToken(a.in, "-")
	}
	f, err := os.Open(file)
	if err != nil {
		return "", unreadable(file, err)
	}
	defer f.Close()
	return readToken(f, file)
}

// readToken takes the only line. More lines are a mistake: the wrong file.
func readToken(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, longestToken+1))
	if err != nil {
		return "", unreadable(name, err)
	}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return "", fileUnusable(name, words{"sie ist leer", "it is empty"})
	case len(b) > longestToken:
		return "", fileUnusable(name, words{"sie ist zu lang für einen Schlüssel", "it is too long for a token"})
	case bytes.ContainsAny(b, "\n\r\x00"):
		return "", fileUnusable(name, words{"sie hat mehr als eine Zeile", "it has more than one line"})
	}
	return string(b), nil
}

func (a *app) ask(ctx context.Context) (string, error) {
	token, err := terminal.Secret(ctx, a.in, a.err, words{"Einmaliger Schlüssel: ", "One-time token: "}.in(a.language))
	switch token = strings.TrimSpace(token); {
	case errors.Is(err, terminal.ErrNone):
		return "", usageError{words{"kein Terminal, um zu fragen: benutzen Sie --token-file", "no terminal to ask on: use --token-file"}.in(a.language), "heimdraht-gateway join"}
	case err == nil && token == "":
		return "", usageError{words{"nichts eingegeben", "nothing was typed"}.in(a.language), "heimdraht-gateway join"}
	}
	return token, err
}
