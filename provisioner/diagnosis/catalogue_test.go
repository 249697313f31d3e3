package diagnosis_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

func everybody() []provisioner.Who {
	return []provisioner.Who{provisioner.WhoEmployee, provisioner.WhoHelpdesk, provisioner.WhoTenantAdmin, provisioner.WhoOperator, provisioner.WhoNobody}
}

// Every cause has what people need: what is so, what to do, and who can, as
// sentences, in both languages.
func TestCatalogue(t *testing.T) {
	code, gap := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`\{[a-z]+\}`)
	seen := make(map[provisioner.Code]bool)
	for _, e := range diagnosis.Catalogue() {
		if seen[e.Code] || !code.MatchString(string(e.Code)) {
			t.Errorf("%s stands twice, or is no code", e.Code)
		}
		seen[e.Code] = true
		if !slices.Contains(everybody(), e.Who) {
			t.Errorf("%s: who is %q?", e.Code, e.Who)
		}
		german, english := gap.FindAllString(e.German.Sentence, -1), gap.FindAllString(e.English.Sentence, -1)
		slices.Sort(german)
		slices.Sort(english)
		if !slices.Equal(german, english) {
			t.Errorf("%s: the languages have different placeholders: %v, %v", e.Code, german, english)
		}
		for _, text := range []provisioner.Text{e.German, e.English} {
			for _, s := range []string{text.Sentence, text.Next} {
				if s != strings.TrimSpace(s) || len(s) < 10 || !strings.HasSuffix(s, ".") {
					t.Errorf("%s: no sentence: %q", e.Code, s)
				}
			}
		}
		for _, jargon := range []string{"Session", "Gateway ", "Token", "Peer", "Tunnel", "Lease", "Handshake", "Client"} {
			if strings.Contains(e.German.Sentence+" "+e.German.Next, jargon) {
				t.Errorf("%s: %q is no German that employees know", e.Code, jargon)
			}
		}
	}
}

// Every refusal that there is, and one that there is not yet, says who can act.
func TestEveryRefusalSaysWhoCanAct(t *testing.T) {
	for _, e := range provisioner.Catalogue() {
		if who := provisioner.Refuse(e.Code).Who(); !slices.Contains(everybody(), who) {
			t.Errorf("%s: who is %q?", e.Code, who)
		}
	}
	if who := provisioner.Refuse(provisioner.Code("of-tomorrow")).Who(); who != provisioner.WhoEmployee {
		t.Errorf("an unknown refusal is for %q", who)
	}
}
