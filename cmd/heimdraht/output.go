package main

// The rules of output:
//
//   - Standard output carries the answer and nothing else, in the form that was
//     asked for: a table for people, JSON or CSV for programs. Everything else
//     (questions, progress, hints, errors) goes to standard error.
//   - Programs get every field, names that do not change, times in ISO 8601 UTC
//     and numbers without grouping. People get what fits 120 columns, times in
//     the local zone, and their language.
//   - Names come from directories and laptops, so they are made harmless:
//     nothing that steers a terminal or turns text around reaches one, and no
//     cell of a CSV file begins like a formula (=, +, -, @).
//   - A number that is withheld is not zero: null in JSON, empty in CSV.
//   - An error says what happened, what to do, and its code.

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no zones
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// The forms of an answer.
const (
	formTable = "table"
	formJSON  = "json"
	formCSV   = "csv"
)

// widest is how many columns of the screen a cell of a table may take. An
// identifier is never cut.
const widest = 36

// printer writes answers and messages.
type printer struct {
	out, err io.Writer
	form     string
	language speech.Language
	progress bool // err is a terminal that a line may be written over
}

// column is one property of T: one definition for table, JSON and CSV. of
// gives a string, bool, int64, decimal, time.Time, []string, *heimdrahtv1.Count, shown,
// or nil for what does not apply.
type column[T any] struct {
	key     string // in JSON and CSV; never changes
	heading words  // empty: not for people
	of      func(T) any
}

// shown is a value that has a name for programs and words for people.
type shown struct {
	program string
	people  words
}

// decimal is a number with at most two digits behind the point.
type decimal float64

func (d decimal) String() string {
	return strconv.FormatFloat(math.Round(float64(d)*100)/100, 'f', -1, 64)
}

// list prints rows. extra are further keys of the JSON object.
func list[T any](p *printer, key string, columns []column[T], rows []T, extra ...pair) error {
	switch p.form {
	case formJSON:
		return p.json(append([]pair{{key, objects(columns, rows)}}, extra...))
	case formCSV:
		return writeCSV(p.out, columns, rows)
	default:
		if len(rows) == 0 {
			return nil
		}
		return p.table(columns2cells(p, columns, rows))
	}
}

// card prints one object: a line a property for people.
func card[T any](p *printer, columns []column[T], row T) error {
	switch p.form {
	case formJSON:
		return p.json(object(columns, row))
	case formCSV:
		return writeCSV(p.out, columns, []T{row})
	default:
		var cells [][]cell
		for _, c := range columns {
			heading := c.heading.in(p.language)
			if heading == "" {
				continue
			}
			if value := p.cell(c.of(row)); value.text != "-" {
				cells = append(cells, []cell{{text: heading}, value})
			}
		}
		return p.table(cells)
	}
}

// cell is what a table shows.
type cell struct {
	text  string
	right bool // aligned
}

func columns2cells[T any](p *printer, columns []column[T], rows []T) [][]cell {
	var heading []cell
	for _, c := range columns {
		if h := c.heading.in(p.language); h != "" {
			heading = append(heading, cell{text: strings.ToUpper(h)})
		}
	}
	cells := [][]cell{heading}
	for _, row := range rows {
		var line []cell
		for _, c := range columns {
			if c.heading.in(p.language) != "" {
				value := p.cell(c.of(row))
				value.text = cut(value.text)
				heading[len(line)].right = value.right
				line = append(line, value)
			}
		}
		cells = append(cells, line)
	}
	return cells
}

// table writes cells in columns.
func (p *printer) table(rows [][]cell) error {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columnsOf(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			space := strings.Repeat(" ", widths[i]-columnsOf(c.text))
			if i > 0 {
				line.WriteString("  ")
			}
			if c.right {
				line.WriteString(space + c.text)
			} else {
				line.WriteString(c.text + space)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// cell shows a value to a person.
func (p *printer) cell(value any) cell {
	switch v := value.(type) {
	case nil:
		return cell{text: "-"}
	case shown:
		return cell{text: v.people.in(p.language)}
	case string:
		return cell{text: orDash(terminal.Harmless(v))}
	case []string:
		return cell{text: orDash(terminal.Harmless(strings.Join(v, " ")))}
	case bool:
		if v {
			return cell{text: words{"ja", "yes"}.in(p.language)}
		}
		return cell{text: words{"nein", "no"}.in(p.language)}
	case int64:
		return cell{text: strconv.FormatInt(v, 10), right: true}
	case decimal:
		text := v.String()
		return cell{text: words{strings.Replace(text, ".", ",", 1), text}.in(p.language), right: true}
	case time.Time:
		return cell{text: p.time(v)}
	case *heimdrahtv1.Count:
		if v.GetWithheld() {
			return cell{text: words{"verdeckt", "withheld"}.in(p.language), right: true}
		}
		return cell{text: strconv.FormatInt(v.GetValue(), 10), right: true}
	default:
		return cell{text: orDash(terminal.Harmless(fmt.Sprint(v)))}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// time shows an instant in the local zone, as people there write it.
func (p *printer) time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(words{"02.01.2006 15:04", "2006-01-02 15:04"}.in(p.language))
}

// pair is a key and a value of a JSON object, whose order is kept.
type pair struct {
	key   string
	value any
}

type orderedObject []pair

// MarshalJSON keeps the order of the columns, which is the order of reading.
func (o orderedObject) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, p := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(p.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

func object[T any](columns []column[T], row T) orderedObject {
	var o orderedObject
	for _, c := range columns {
		o = append(o, pair{c.key, forPrograms(c.of(row))})
	}
	return o
}

func objects[T any](columns []column[T], rows []T) []orderedObject {
	all := []orderedObject{} // an empty list, not null
	for _, row := range rows {
		all = append(all, object(columns, row))
	}
	return all
}

// forPrograms is a value as JSON shows it.
func forPrograms(value any) any {
	switch v := value.(type) {
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC().Format(time.RFC3339)
	case []string:
		if v == nil {
			return []string{}
		}
		return v
	case shown:
		return v.program
	case decimal:
		return json.Number(v.String())
	case *heimdrahtv1.Count:
		if v.GetWithheld() {
			return nil
		}
		return v.GetValue()
	default:
		return v
	}
}

func (p *printer) json(o orderedObject) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	_, err = io.WriteString(p.out, escapeJSON(string(b))+"\n")
	return err
}

// escapeJSON writes what steers a terminal as \uXXXX. Outside strings JSON has
// nothing of the kind but line feeds.
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r != '\n' && terminal.Steers(r) {
			if r > 0xffff {
				r1, r2 := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
				fmt.Fprintf(&b, `\u%04x\u%04x`, r1, r2)
				continue
			}
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func writeCSV[T any](out io.Writer, columns []column[T], rows []T) error {
	return writeRecords(csv.NewWriter(out), columns, rows)
}

// writeCSVRows is writeCSV without the heading, behind what has one.
func writeCSVRows[T any](out io.Writer, columns []column[T], rows []T) error {
	return writeRows(csv.NewWriter(out), columns, rows)
}

func writeRecords[T any](w *csv.Writer, columns []column[T], rows []T) error {
	var record []string
	for _, c := range columns {
		record = append(record, c.key)
	}
	if err := w.Write(record); err != nil {
		return err
	}
	return writeRows(w, columns, rows)
}

func writeRows[T any](w *csv.Writer, columns []column[T], rows []T) error {
	var record []string
	for _, row := range rows {
		record = record[:0]
		for _, c := range columns {
			record = append(record, csvCell(c.of(row)))
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// writeGermanCSV writes what spreadsheets that are set to German open as a table: semicolons, a
// comma in numbers, times as in Germany, and a mark at the beginning that it is UTF-8.
func writeGermanCSV[T any](out io.Writer, columns []column[T], rows []T) error {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return fmt.Errorf("looking for the German time zone: %w", err)
	}
	if _, err := io.WriteString(out, "\ufeff"); err != nil {
		return err
	}
	german := make([]column[T], len(columns))
	for i, c := range columns {
		german[i] = column[T]{key: c.key, of: func(row T) any {
			switch v := c.of(row).(type) {
			case decimal:
				return shown{program: strings.Replace(v.String(), ".", ",", 1)}
			case time.Time:
				if v.IsZero() {
					return nil
				}
				return v.In(zone).Format("02.01.2006 15:04")
			case bool:
				return map[bool]string{true: "ja", false: "nein"}[v]
			default:
				return v
			}
		}}
	}
	w := csv.NewWriter(out)
	w.Comma = ';'
	return writeRecords(w, german, rows)
}

// csvCell shields text from spreadsheets, which take a cell that begins with
// one of these signs for a formula, also behind blanks. The apostrophe is what
// they themselves use.
func csvCell(value any) string {
	switch v := forPrograms(value).(type) {
	case nil:
		return ""
	case []string:
		return csvCell(strings.Join(v, " "))
	case string:
		s := terminal.Harmless(v)
		if t := strings.TrimLeftFunc(s, unicode.IsSpace); t != "" && strings.ContainsRune("=+-@＝＋－＠", firstRune(t)) {
			return "'" + s
		}
		return s
	default:
		return fmt.Sprint(v)
	}
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// columnsOf counts the columns of the screen that a text takes.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0 // an accent stands over its letter
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func cut(s string) string {
	if columnsOf(s) <= widest {
		return s
	}
	n := 1 // for the dots
	for i, r := range s {
		if n += columnsOfRune(r); n > widest {
			return s[:i] + "…"
		}
	}
	return s
}
