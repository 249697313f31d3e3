package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
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

// ask puts the question on the terminal. An interrupt ends it with the
// terminal as it was: without echo nobody could type on.
func (a *app) ask(ctx context.Context) (string, error) {
	fd := int(a.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", usageError{words{"kein Terminal, um zu fragen: benutzen Sie --token-file", "no terminal to ask on: use --token-file"}.in(a.language), "heimdraht-gateway join"}
	}
	a.print(a.err, words{"Einmaliger Schlüssel: ", "One-time token: "}.in(a.language))
	type answer struct {
		text []byte
		err  error
	}
	// A read of a terminal cannot be ended; after an interrupt the process
	// ends, and the reading with it.
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answered <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		a.print(a.err, "\n")
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-answered:
		a.print(a.err, "\n")
		if got.err != nil {
			return "", fmt.Errorf("asking on the terminal: %w", got.err)
		}
		return string(got.text), nil
	}
}
