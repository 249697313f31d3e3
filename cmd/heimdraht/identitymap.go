package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// mostMapped is how large a map may be, in bytes: the server takes no more in one message.
const mostMapped = 3 << 20

// readIdentityMap reads old and new stable ids, a line each, separated by commas or, as spreadsheets write it here, by
// semicolons. A first line whose first word is "old" or "alt" is a heading. What is wrong is named by line.
func readIdentityMap(name string, r io.Reader) ([]*heimdrahtv1.IdentityLine, error) {
	text, err := io.ReadAll(io.LimitReader(r, mostMapped+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	wrong := func(line int, format string, args ...any) config.Problem {
		return config.Problem{File: name, Line: line, Message: fmt.Sprintf(format, args...)}
	}
	if len(text) > mostMapped {
		return nil, config.Problems{wrong(0, "larger than %d MB: split it, by tenant for example", mostMapped>>20)}
	}
	if !utf8.Valid(text) {
		return nil, config.Problems{wrong(0, "is not UTF-8")}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as spreadsheets begin a file
	c := csv.NewReader(bytes.NewReader(text))
	c.FieldsPerRecord, c.Comment, c.TrimLeadingSpace = -1, '#', true
	if first, _, _ := bufio.NewReader(bytes.NewReader(text)).ReadLine(); bytes.ContainsRune(first, ';') {
		c.Comma = ';'
	}
	var lines []*heimdrahtv1.IdentityLine
	var problems config.Problems
	for n := 0; ; n++ {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			return nil, append(problems, wrong(broken.Line, "%v", broken.Err))
		}
		if err != nil {
			return nil, unreadable(name, err)
		}
		line, _ := c.FieldPos(0)
		switch word := strings.ToLower(strings.TrimSpace(record[0])); {
		case n == 0 && (strings.HasPrefix(word, "old") || strings.HasPrefix(word, "alt")):
		case len(record) != 2:
			problems = append(problems, wrong(line, "wanted 2 columns, old and new id, and found %d", len(record)))
		default:
			lines = append(lines, &heimdrahtv1.IdentityLine{Line: uint32(line), From: record[0], To: record[1]})
		}
	}
	if len(problems) == 0 && len(lines) == 0 {
		problems = append(problems, wrong(0, "names nobody"))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return lines, nil
}
