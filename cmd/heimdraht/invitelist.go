package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

const (
	// mostInviteList is how large a list may be, in bytes: some 100,000 laptops.
	mostInviteList = 8 << 20
	// mostInviteLine is how long a line may be that is sent at all.
	mostInviteLine = 2000
)

// inviteLine is a line of a list of laptops.
type inviteLine struct {
	line                  int // in the file
	login, serial, device string
}

// badLine is a line that is left out, and why.
type badLine struct {
	line int // zero: the whole file
	why  words
}

// inviteList is what a file says.
type inviteList struct {
	lines []inviteLine
	bad   []badLine
	// latin1 says that it was not UTF-8, and read as Windows-1252.
	latin1 bool
	// ignored are columns that mean nothing here.
	ignored []string
}

// The columns, as people call them here and there.
const (
	columnLogin  = "login"
	columnMail   = "mail"
	columnSerial = "serial number"
	columnDevice = "device name"
)

func columnOf(heading string) string {
	folded := strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", " ", "", "_", "", "-", "", ".", "", "/", "", ":", "").
		Replace(strings.ToLower(strings.TrimSpace(heading)))
	for column, names := range map[string][]string{
		columnLogin:  {"login", "loginname", "username", "user", "benutzername", "benutzer", "anmeldename", "kennung", "benutzerkennung", "samaccountname", "uid"},
		columnMail:   {"mail", "email", "mailaddress", "emailaddress", "mailadresse", "emailadresse"},
		columnSerial: {"serialnumber", "serial", "serialno", "sn", "seriennummer", "seriennr", "serial#"},
		columnDevice: {"devicename", "device", "name", "laptop", "laptopname", "hostname", "computername", "rechnername", "rechner", "geraet", "geraetename", "geraetname"},
	} {
		if slices.Contains(names, folded) {
			return column
		}
	}
	return ""
}

// readInviteList reads who is to get which laptop: a heading and a line each,
// separated by commas, semicolons or tabs, in UTF-8 or, as spreadsheets save it
// here, in Windows-1252. A line that cannot be is named and left out; that the
// file as a whole cannot be is an error.
func readInviteList(name string, r io.Reader, anyLaptop bool) (inviteList, error) {
	raw, err := io.ReadAll(io.LimitReader(r, mostInviteList+1))
	if err != nil {
		return inviteList{}, unreadable(name, err)
	}
	if len(raw) > mostInviteList {
		return inviteList{}, fileUnusable(name, "sie hat mehr als 8 MB: teilen Sie sie auf", "it has more than 8 MB: split it")
	}
	var l inviteList
	text, err := l.decode(name, raw)
	if err != nil {
		return l, err
	}
	p := inviteParser{list: &l, name: name, anyLaptop: anyLaptop, first: make(map[string]int)}
	for n, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if err := p.line(n+1, strings.TrimSuffix(line, "\r")); err != nil {
			return l, err
		}
	}
	switch {
	case p.columns == nil:
		return l, fileUnusable(name, "sie ist leer", "it is empty")
	case len(l.lines) == 0 && len(l.bad) == 0:
		return l, fileUnusable(name, "unter der Überschrift steht nichts", "there is nothing below its heading")
	}
	return l, nil
}

// decode makes text of bytes. Windows-1252 is Latin-1 with a few characters more.
func (l *inviteList) decode(name string, raw []byte) (string, error) {
	if bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff")) {
		return "", fileUnusable(name, "sie ist UTF-16; speichern Sie sie als \"CSV UTF-8\"", "it is UTF-16; save it as \"CSV UTF-8\"")
	}
	if utf8.Valid(raw) {
		return string(bytes.TrimPrefix(raw, []byte("\ufeff"))), nil
	}
	decoded, err := charmap.Windows1252.NewDecoder().Bytes(raw)
	if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) || bytes.ContainsFunc(decoded, func(r rune) bool { return r >= 0x80 && r < 0xa0 }) {
		return "", fileUnusable(name, "sie ist weder UTF-8 noch Latin-1; speichern Sie sie als \"CSV UTF-8\"", "it is neither UTF-8 nor Latin-1; save it as \"CSV UTF-8\"")
	}
	l.latin1 = true
	return string(decoded), nil
}

// inviteParser goes through a list line by line, so that a quote that is left
// open spoils one line and not the rest.
type inviteParser struct {
	list      *inviteList
	name      string
	anyLaptop bool
	comma     rune
	columns   []string       // by position; empty ones mean nothing; nil: the heading is still to come
	first     map[string]int // in which line a person and a laptop stand first
}

func (p *inviteParser) line(n int, text string) error {
	if strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;\t", r) }) == "" {
		return nil
	}
	if p.columns == nil {
		if sep, ok := strings.CutPrefix(strings.ToLower(text), "sep="); ok && len(sep) == 1 { // for spreadsheets
			p.comma = rune(sep[0])
			return nil
		}
		return p.heading(text)
	}
	v, why := p.read(n, text)
	if why != (words{}) {
		p.list.bad = append(p.list.bad, badLine{n, why})
		return nil
	}
	p.list.lines = append(p.list.lines, v)
	return nil
}

// heading finds out what separates, and which column is what.
func (p *inviteParser) heading(text string) error {
	separators := []rune{p.comma}
	if p.comma == 0 {
		separators = []rune{';', ',', '\t'}
	}
	var best []string
	for _, comma := range separators {
		fields, err := p.split(text, comma)
		if err != nil {
			continue
		}
		columns := make([]string, len(fields))
		for i, f := range fields {
			columns[i] = columnOf(f)
		}
		if known(columns) > known(best) || best == nil {
			best, p.comma = columns, comma
		}
	}
	fields, err := p.split(text, p.comma)
	if err != nil {
		return fileUnusable(p.name, "die Überschrift ist nicht lesbar", "its heading cannot be read")
	}
	for _, c := range []string{columnLogin, columnMail, columnSerial, columnDevice} {
		if first := slices.Index(best, c); first >= 0 && slices.Contains(best[first+1:], c) {
			return fileUnusable(p.name, fmt.Sprintf("zwei Spalten bedeuten dasselbe (%s)", c), fmt.Sprintf("two columns mean the same (%s)", c))
		}
	}
	has := func(c string) bool { return slices.Contains(best, c) }
	if !has(columnLogin) && !has(columnMail) || !has(columnSerial) && !p.anyLaptop {
		found := strings.Join(fields, ", ")
		if len(found) > 200 {
			found = found[:200] + "…"
		}
		return fileUnusable(p.name,
			fmt.Sprintf("die erste Zeile muss die Spalten nennen: Benutzername (oder Mail), Seriennummer, auf Wunsch Gerätename; sie nennt: %s", found),
			fmt.Sprintf("its first line must name the columns: login (or mail), serial number and, if you like, device name; it names: %s", found))
	}
	for i, c := range best {
		if c == "" && strings.TrimSpace(fields[i]) != "" {
			p.list.ignored = append(p.list.ignored, strings.TrimSpace(fields[i]))
		}
	}
	p.columns = best
	return nil
}

func known(columns []string) (n int) {
	for _, c := range columns {
		if c != "" {
			n++
		}
	}
	return n
}

func (p *inviteParser) split(text string, comma rune) ([]string, error) {
	if comma == '"' || comma == 0 || comma == utf8.RuneError {
		return nil, errors.New("that cannot separate")
	}
	c := csv.NewReader(strings.NewReader(text))
	c.Comma, c.FieldsPerRecord, c.TrimLeadingSpace = comma, -1, comma != '\t'
	return c.Read()
}

// numbered is what a spreadsheet makes of a serial number that is all digits.
var numbered = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+[0-9]+$`)

// read reads a line. why is not empty if it cannot be.
func (p *inviteParser) read(n int, text string) (v inviteLine, why words) {
	if len(text) > mostInviteLine {
		return v, words{fmt.Sprintf("sie hat mehr als %d Zeichen", mostInviteLine), fmt.Sprintf("it has more than %d characters", mostInviteLine)}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return v, words{"sie enthält Steuerzeichen", "it has control characters"}
	}
	fields, err := p.split(text, p.comma)
	if err != nil {
		return v, words{"Anführungszeichen fehlen oder stehen falsch", "quotes are missing or in the wrong place"}
	}
	v.line = n
	mail := ""
	for i, f := range fields {
		f = strings.TrimSpace(f)
		if i >= len(p.columns) {
			if f != "" {
				return v, words{"sie hat mehr Spalten als die Überschrift", "it has more columns than the heading"}
			}
			continue
		}
		switch p.columns[i] {
		case columnLogin:
			v.login = f
		case columnMail:
			mail = f
		case columnSerial:
			v.serial = f
		case columnDevice:
			v.device = f
		}
	}
	v.login = cmp.Or(v.login, mail)
	switch {
	case v.login == "":
		return v, words{"der Benutzername fehlt", "the login is missing"}
	case v.serial == "" && !p.anyLaptop:
		return v, words{"die Seriennummer fehlt (--any-laptop lädt für irgendeinen Laptop ein)", "the serial number is missing (--any-laptop invites for whatever laptop)"}
	case numbered.MatchString(v.serial):
		return v, words{"die Tabelle hat aus der Seriennummer eine Zahl gemacht (" + v.serial + "): Formatieren Sie die Spalte als Text", "the spreadsheet has made a number of the serial number (" + v.serial + "): format the column as text"}
	}
	key := strings.ToLower(v.login) + "\x00" + strings.ToUpper(v.serial)
	if first, twice := p.first[key]; twice {
		return v, sameAs(first)
	}
	p.first[key] = n
	return v, words{}
}

func sameAs(line int) words {
	return words{fmt.Sprintf("dasselbe steht schon in Zeile %d", line), fmt.Sprintf("the same stands in line %d already", line)}
}
