package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

// TestNothingSteersATerminal holds for every form of output and any text.
func TestNothingSteersATerminal(t *testing.T) {
	columns := []column[string]{
		{"a", words{"a", "a"}, func(s string) any { return s }},
		{"b", words{"b", "b"}, func(s string) any { return []string{s, s} }},
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		for _, form := range []string{formTable, formJSON, formCSV} {
			var out, errs strings.Builder
			p := &printer{out: &out, err: &errs, form: form, language: speech.English}
			if err := list(p, "rows", columns, []string{text}); err != nil {
				t.Fatal(err)
			}
			if err := card(p, columns, text); err != nil {
				t.Fatal(err)
			}
			p.complain(text, text, text)
			p.hint(words{"%s", "%s"}, text)
			p.say(words{"%s", "%s"}, text)
			for _, r := range out.String() + errs.String() {
				if r != '\n' && terminal.Steers(r) {
					t.Fatalf("%s lets %U through", form, r)
				}
			}
		}
	})
}

func TestJSONIsWhatItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var out strings.Builder
		p := &printer{out: &out, form: formJSON}
		if err := p.json(orderedObject{{"a", text}}); err != nil {
			t.Fatal(err)
		}
		var back struct{ A string }
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(text, "\uFFFD"); back.A != want {
			t.Fatalf("%q became %q", text, back.A)
		}
	})
}

func TestNoCSVCellIsAFormula(t *testing.T) {
	sign := rapid.SampledFrom([]string{"=", "+", "-", "@", "\t=", " +", "\r@", "\u00a0-", "＝", "\u200b="})
	rapid.Check(t, func(t *rapid.T) {
		text := sign.Draw(t, "sign") + rapid.String().Draw(t, "rest")
		var out strings.Builder
		columns := []column[string]{{"a", words{}, func(s string) any { return s }}, {"b", words{}, func(s string) any { return []string{s} }}}
		if err := writeCSV(&out, columns, []string{text}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range rows[1] {
			if strings.ContainsAny(strings.TrimSpace(cell)[:1], "=+-@\t\r") {
				t.Fatalf("%q became %q", text, cell)
			}
		}
	})
}

func TestColumnsStayAligned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var out strings.Builder
		p := &printer{out: &out, form: formTable, language: speech.German}
		columns := []column[string]{
			{"a", words{"a", "a"}, func(s string) any { return s }},
			{"b", words{"b", "b"}, func(string) any { return "|" }},
		}
		if err := list(p, "rows", columns, []string{text, "x"}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		first, second := columnsOf(lines[1]), columnsOf(lines[2])
		if first != second || first > widest+3 {
			t.Fatalf("widths %d and %d:\n%s", first, second, out.String())
		}
	})
}
