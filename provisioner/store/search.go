package store

import (
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Fold brings text to the form in which it is searched: composed, lower case,
// umlauts and ß written out, so that Müller, MÜLLER and Mueller are one.
func Fold(s string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss").Replace(norm.NFC.String(strings.ToLower(norm.NFC.String(s))))
}

// searchText is what a search looks through.
func searchText(parts ...string) string { return Fold(strings.Join(parts, " ")) }

// likeLiteral is text as it stands in a LIKE pattern with escape '!'.
func likeLiteral(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}

// args numbers the placeholders of a query that is put together, in order of
// appearance: some drivers bind by number, others by appearance.
type args struct{ list []any }

func (a *args) add(v any) string {
	a.list = append(a.list, v)
	return "$" + strconv.Itoa(len(a.list))
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
	marks := make([]string, len(tenants))
	for i, t := range tenants {
		marks[i] = a.add(t)
	}
	return column + " in (" + strings.Join(marks, ", ") + ")"
}
