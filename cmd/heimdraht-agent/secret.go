package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// longestLine bounds what is typed or read as a name or password.
const longestLine = 4096

// password comes from a file, from standard input ("-"), or from the terminal without echo ("").
func (a *app) password(ctx context.Context, file string) (string, error) {
	switch file {
	case "":
		return a.ask(ctx, words{"Passwort: ", "Password: "}, "--password-file", func(fd int) (string, error) {
			b, err := term.ReadPassword(fd)
			show(a.err, "\n")
			return string(b), err
		})
	case "-":
		return readPassword(a.in, "-")
	}
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
	s, err := a.ask(ctx, words{"Benutzername: ", "User name: "}, "--login", func(int) (string, error) {
		var line []byte
		for b := make([]byte, 1); len(line) < longestLine; {
			n, err := a.in.Read(b)
			if n == 0 || b[0] == '\n' {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return string(line), err
			}
			line = append(line, b[0])
		}
		return string(line), nil
	})
	return strings.TrimSpace(s), err
}

// ask puts a question on the terminal. flag is what to use without one. An interrupt leaves the terminal as it
// was: without echo nobody could type on.
func (a *app) ask(ctx context.Context, question words, flag string, read func(fd int) (string, error)) (string, error) {
	fd := int(a.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", usageError{
			what:    fmt.Sprintf(words{"kein Terminal, um zu fragen: benutzen Sie %s", "no terminal to ask on: use %s"}.in(a.language), flag),
			command: "heimdraht-agent enrol",
		}
	}
	show(a.err, question.in(a.language))
	type answer struct {
		text string
		err  error
	}
	// A read of a terminal cannot be ended; after an interrupt the process ends, and the reading with it.
	answered := make(chan answer, 1)
	go func() {
		text, err := read(fd)
		answered <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		show(a.err, "\n")
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-answered:
		if got.err != nil {
			return "", fmt.Errorf("asking on the terminal: %w", got.err)
		}
		return got.text, nil
	}
}
