package store

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Fold brings text to the form in which it is searched: composed, lower case,
// umlauts and ß written out, so that Müller, MÜLLER and Mueller are one.
func Fold(s string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss").Replace(norm.NFC.String(strings.ToLower(norm.NFC.String(s))))
}

// plainLetters takes folded text down to the letters of a typewriter, so that Muller and
// Müller are one as well, René and Rene, Łukasz and Lukasz. More is one then than
// should be (Bauer is baur, and "er" is not in it): it stands beside the folded text.
func plainLetters(folded string) string {
	bare := strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Mn, c) {
			return -1
		}
		return c
	}, norm.NFD.String(folded))
	bare = strings.NewReplacer("ø", "o", "æ", "a", "œ", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i", "ħ", "h").Replace(bare)
	return strings.NewReplacer("ae", "a", "oe", "o", "ue", "u").Replace(bare)
}

// squeezed is a serial number without what people put between its parts.
func squeezed(s string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "", ".", "", "/", "", ":", "").Replace(s)
}

// squeezedSQL is the same of a column.
func squeezedSQL(column string) string {
	for _, c := range []string{" ", "-", "_", ".", "/", ":"} {
		column = "replace(" + column + ", '" + c + "', '')"
	}
	return "lower(" + column + ")"
}

// searchText is what a search looks through: the folded text, and behind it the
// words that are written otherwise in plain letters.
func searchText(parts ...string) string {
	folded := Fold(strings.Join(parts, " "))
	text := folded
	var added []string
	for _, word := range strings.Fields(folded) {
		if p := plainLetters(word); p != word && !slices.Contains(added, p) {
			added = append(added, p)
			text += " " + p
		}
	}
	return text
}

// deviceText is what a search looks through of a device: name and serial number,
// and both squeezed. Its key is not in it: in 44 letters at random there is some
// scrap of everybody's name.
func deviceText(d provisioner.Device) string {
	text := searchText(d.Name, d.SerialNumber)
	for _, part := range []string{d.Name, d.SerialNumber} {
		if folded := plainLetters(Fold(part)); squeezed(folded) != folded {
			text += " " + squeezed(folded)
		}
	}
	return text
}

// likeLiteral is text as it stands in a LIKE pattern with escape '!'.
func likeLiteral(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}

// MostWords is how many words a search may have; with more it finds nobody.
const MostWords = 12

// Words are the words of a search, folded, each once. The two names that a hyphen
// joins are two words.
func Words(query string) []string {
	var list []string
	for _, field := range strings.Fields(Fold(typed(query))) {
		parts := []string{field}
		if !numbered(field) {
			parts = strings.FieldsFunc(field, func(c rune) bool { return c == '-' })
		}
		for _, w := range parts {
			if !slices.Contains(list, w) {
				list = append(list, w)
			}
		}
	}
	return list
}

// numbered tells what has a digit, and so may be of a serial number.
func numbered(s string) bool { return strings.ContainsAny(s, "0123456789") }

// typed is a query without what no name has: what cannot be seen, and what
// stands between the parts of a name or around an address.
func typed(query string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Cf, c):
			return -1
		case unicode.IsControl(c), c == unicode.ReplacementChar, strings.ContainsRune(`,;<>()"`, c):
			return ' '
		}
		return c
	}, strings.ToValidUTF8(query, " "))
}

// scrap is a word of a search as it is looked for.
type scrap struct {
	ofPerson string // in plain letters, which are always there too
	ofDevice string // squeezed besides, if it may be of a serial number
}

func scrapOf(word string) scrap {
	s := scrap{plainLetters(word), plainLetters(word)}
	if bare := squeezed(s.ofDevice); numbered(word) && bare != "" {
		s.ofDevice = bare
	}
	return s
}

// short tells one or two letters: they count at the start of a word only, for
// they are somewhere in most people's names.
func (s scrap) short() bool {
	return len(s.ofPerson) <= 2 && strings.Trim(s.ofPerson, idLetters) == ""
}

// inPerson is the condition that a person's text has the scrap.
func (s scrap) inPerson(a *args, column string) string {
	if s.short() {
		return "(" + column + " like " + a.add(s.ofPerson+"%") + " or " + column + " like " + a.add("% "+s.ofPerson+"%") + " or " +
			column + " like " + a.add("%-"+s.ofPerson+"%") + ")"
	}
	return column + " like " + a.add("%"+likeLiteral(s.ofPerson)+"%") + " escape '!'"
}

// inDevice is the condition that a device's text has the scrap. Nobody means a
// laptop by one letter: to look through all of them would take as long again.
func (s scrap) inDevice(a *args, column string) string {
	if len(s.ofDevice) == 1 && !numbered(s.ofDevice) {
		return "1 = 0"
	}
	if s.short() {
		return "(" + column + " like " + a.add(s.ofDevice+"%") + " or " + column + " like " + a.add("% "+s.ofDevice+"%") + ")"
	}
	return column + " like " + a.add("%"+likeLiteral(s.ofDevice)+"%") + " escape '!'"
}

// startsWord is the condition that a word of a text begins with the scrap.
func (s scrap) startsWord(a *args, column string) string {
	text := strings.NewReplacer("-", " ", ".", " ").Replace(s.ofPerson)
	return "(' ' || replace(replace(" + column + ", '-', ' '), '.', ' ')) like " + a.add("% "+likeLiteral(text)+"%") + " escape '!'"
}

// in reports whether a text, not folded yet, has the scrap.
func (s scrap) in(text string) bool {
	folded := searchText(text)
	return strings.Contains(folded, s.ofPerson) || strings.Contains(squeezed(plainLetters(Fold(text))), s.ofDevice)
}

// args numbers the placeholders of a query that is put together, in order of
// appearance: some drivers bind by number, others by appearance.
type args struct{ list []any }

func (a *args) add(v any) string {
	a.list = append(a.list, v)
	return "$" + strconv.Itoa(len(a.list))
}

// in is the condition that a column has one of the values; there must be one.
func (a *args) in(values []string) string {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = a.add(v)
	}
	return " in (" + strings.Join(marks, ", ") + ")"
}

// scope is the condition that column lies in scope.
func (a *args) scope(s provisioner.Scope, column string) string {
	tenants, everywhere := s.Tenants()
	if everywhere {
		return "1 = 1"
	}
	if len(tenants) == 0 {
		return "1 = 0"
	}
	return column + a.in(tenants)
}
