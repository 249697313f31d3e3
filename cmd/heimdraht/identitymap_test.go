package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

func TestIdentityMap(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"commas", "a,b\nc,d\n", "1 a b; 2 c d"},
		{"semicolons, a mark and a heading", "\ufeffold;new\r\na;b\r\n", "2 a b"},
		{"German heading", "alt,neu\na,b", "2 a b"},
		{"comments, blank lines and quotes", "# moved\n\n\"a\", \"b\"\n", "3 a b"},
		{"an empty id is the server's to refuse", "a,\n", "1 a "},
		{"empty", "", "m.csv: names nobody"},
		{"only a heading", "old,new\n", "m.csv: names nobody"},
		{"one column", "a,b\nc\n", "m.csv:2: wanted 2 columns, old and new id, and found 1"},
		{"three columns", "a,b,c\nd,e\nf,g,h\n", "m.csv:1: wanted 2 columns, old and new id, and found 3\nm.csv:3: wanted 2 columns, old and new id, and found 3"},
		{"an open quote", "a,b\n\"c,d\n", `m.csv:2: extraneous or missing " in quoted-field`},
		{"a quote within", "a,b\"\n", `m.csv:1: bare " in non-quoted-field`},
		{"no text", "\x00\x01", "m.csv:1: wanted 2 columns, old and new id, and found 1"},
		{"not UTF-8", "a\xe4,b\n", "m.csv: is not UTF-8"},
		{"too large", strings.Repeat("x", mostMapped+1), "m.csv: larger than 3 MB: split it, by tenant for example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, err := readIdentityMap("m.csv", strings.NewReader(tt.text))
			var parts []string
			for _, l := range lines {
				parts = append(parts, fmt.Sprintf("%d %s %s", l.GetLine(), l.GetFrom(), l.GetTo()))
			}
			got := strings.Join(parts, "; ")
			if err != nil {
				got = err.Error()
			}
			var problems config.Problems
			if got != tt.want || err != nil && !errors.As(err, &problems) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzIdentityMap(f *testing.F) {
	for _, s := range []string{"a,b\n", "old;new\n\"a\";b", "\"", "\ufeff#\n,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines, err := readIdentityMap("m.csv", strings.NewReader(s))
		if (len(lines) > 0) == (err != nil) {
			t.Errorf("%d lines and %v", len(lines), err)
		}
	})
}
