package privacy_test

import (
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/privacy"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What is kept of people is said in words, of every table and in both languages.
func TestEveryTableHasWords(t *testing.T) {
	keepings := privacy.Keepings()
	for _, p := range store.PersonalTables() {
		k, ok := keepings[p.Table]
		if !ok {
			t.Errorf("nothing says what table %s keeps of people: see privacy.Keepings, then make generate", p.Table)
		}
		delete(keepings, p.Table)
		for what, w := range map[string]privacy.Words{"what it is": k.What, "why": k.Why, "until when": k.Until, "who sees it": k.Seen, "what forgetting leaves": k.End} {
			for _, language := range []string{"de", "en"} {
				if w.In(language) == "" {
					t.Errorf("%s: nothing says %s, in %q", p.Table, what, language)
				}
			}
		}
		if p.Forget == "" && p.Last == "" && p.Stay == "" {
			t.Errorf("%s: nothing is deleted of it, and it does not say what stays", p.Table)
		}
	}
	for table := range keepings {
		t.Errorf("of table %s is said what it keeps, and store.PersonalTables does not know it", table)
	}
}
