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
	s, err := a.ask(ctx, question, flag, func(fd int) (string, error) {
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(a.printer.err) // the return key was not echoed either
		return string(b), err
	})
	if err == nil && s == "" {
		return "", usageError{words{"nichts eingegeben", "nothing was typed"}.in(a.language), "heimdraht login"}
	}
	return s, err
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

// line asks for something that is no secret.
func (a *app) line(ctx context.Context, flag string, question words) (string, error) {
	s, err := a.ask(ctx, question, flag, func(int) (string, error) {
		var line []byte
		for b := make([]byte, 1); len(line) < longestSecret; {
			n, err := a.world.in.Read(b)
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
	if s = strings.TrimSpace(s); err == nil && s == "" {
		return "", usageError{words{"nichts eingegeben", "nothing was typed"}.in(a.language), "heimdraht login"}
	}
	return s, err
}

// ask puts a question on the terminal. An interrupt ends it with the terminal
// as it was: without echo nobody could type on.
func (a *app) ask(ctx context.Context, question words, flag string, read func(fd int) (string, error)) (string, error) {
	fd := int(a.world.in.Fd())
	if !term.IsTerminal(fd) {
		return "", usageError{
			fmt.Sprintf(words{"kein Terminal, um zu fragen: benutzen Sie %s", "no terminal to ask on: use %s"}.in(a.language), flag), "heimdraht login"}
	}
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking on the terminal: %w", err)
	}
	fmt.Fprint(a.printer.err, question.in(a.language))
	type answer struct {
		text string
		err  error
	}
	// A read of a terminal cannot be ended; after an interrupt the process
	// ends, and the reading with it.
	answered := make(chan answer, 1)
	go func() {
		text, err := read(fd)
		answered <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.printer.err)
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-answered:
		if after, err := term.GetState(fd); err != nil || *after != *before {
			got.err = errors.Join(got.err, term.Restore(fd, before))
		}
		if got.err != nil {
			return "", fmt.Errorf("asking on the terminal: %w", got.err)
		}
		return got.text, nil
	}
}
