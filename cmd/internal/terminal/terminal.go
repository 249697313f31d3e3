// Package terminal asks people questions on a terminal, and keeps what strangers wrote from steering it.
//
// What always holds: after a question, answered or interrupted, the terminal is as it was before. A secret is
// not echoed.
//
// Which words are said is not its business, nor where else a secret may come from.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// longestLine bounds what is typed, in bytes.
const longestLine = 4096

// ErrNone says that there is no terminal to ask on.
var ErrNone = errors.New("no terminal to ask on")

// Line puts a question to out and reads the answer from the terminal in, without the white space around it.
// Without a terminal it gives ErrNone and prints nothing. The end of the context ends it too, with the
// context's error; the read of the terminal itself then goes on until the process ends.
func Line(ctx context.Context, in *os.File, out io.Writer, question string) (string, error) {
	s, err := ask(ctx, in, out, question, func(int) (string, error) { return readLine(in) })
	return strings.TrimSpace(s), err
}

// Secret is Line for what nobody else may see: it is not echoed, and taken as it is.
func Secret(ctx context.Context, in *os.File, out io.Writer, question string) (string, error) {
	return ask(ctx, in, out, question, func(fd int) (string, error) {
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(out) // the return key was not echoed either
		return string(b), err
	})
}

// readLine reads byte by byte: what comes after the line is for the next question.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < longestLine; {
		n, err := in.Read(b)
		if n == 0 || b[0] == '\n' {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return string(line), err
		}
		line = append(line, b[0])
	}
	return string(line), nil
}

func ask(ctx context.Context, in *os.File, out io.Writer, question string, read func(fd int) (string, error)) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", ErrNone
	}
	fmt.Fprint(out, question)
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
		fmt.Fprintln(out)
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

// Harmless replaces what steers a terminal or turns text around on it: control characters (C0, DEL and C1), line
// breaks among them, and the invisible ones: marks of direction, joiners, tags, separators of lines.
func Harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if Steers(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// HarmlessLines is Harmless for each line.
func HarmlessLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Harmless(line)
	}
	return strings.Join(lines, "\n")
}

// Steers says whether Harmless replaces a character.
func Steers(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
