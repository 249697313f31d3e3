package store_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// FuzzFindPeople types anything into the helpdesk's search: it never fails, and
// every word that it is given counts literally.
func FuzzFindPeople(f *testing.F) {
	s := open(f, engines[0].make(f))
	for _, seed := range []string{"Müller", "%", "_!", "!%", "a' or 1=1 --", "\x00", "ẞ İ ﬁ", "J\u030c", strings.Repeat("a ", 100), "\\", "\xff",
		"10.80.0.5/32", "[fd80:1::5%x]:1", strings.Repeat("0a", 32), strings.Repeat("A", 43) + "=", "5CG-12 x", "a-b-", "--", "aaaaaaaa", "ae ue oe", "太郎"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if len(query) > 200 {
			return // refused before it comes here
		}
		err := s.View(t.Context(), func(tx *store.Reader) error {
			_, err := tx.FindPeople(provisioner.Everywhere(), query, 20)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if folded := store.Fold(query); utf8.ValidString(query) && store.Fold(folded) != folded {
			t.Errorf("%q folds to %q, and that to %q", query, folded, store.Fold(folded))
		}
	})
}
