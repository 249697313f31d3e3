package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

// The example in docs/capacity.md is what its command gives for what stands above its table.
func TestTheDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^heimdraht capacity plan (.*)$`).FindSubmatch(text)
	var grammar commands
	parser, err := kong.New(&grammar, kong.Name("heimdraht"), helpTexts(speech.English))
	if err != nil || line == nil {
		t.Fatal(err, line)
	}
	args := strings.Fields(strings.ReplaceAll(string(line[1]), "deploy/", "../../deploy/"))
	if _, err := parser.Parse(append([]string{"capacity", "plan"}, args...)); err != nil {
		t.Fatal(err)
	}
	r, err := grammar.Capacity.Plan.request(&app{printer: &printer{language: speech.English}})
	if err != nil {
		t.Fatal(err)
	}
	// The fake's town, village, pool and gateways are those of the example.
	answer, err := (&fake{}).Plan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newPlanView(r, answer)
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|([^|]*)\\|([^|]*)\\| ([0-9]+) \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 16 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows {
		tenant, of, both := strings.Cut(strings.TrimSpace(row[2]), ", ")
		if !both {
			tenant, of = "", tenant
		}
		year, _ := strconv.ParseInt(strings.TrimSpace(row[3]), 10, 64)
		want, _ := strconv.ParseInt(row[4], 10, 64)
		if f := v.figure(plan.Name(row[1]), tenant, of, year); f == nil || f.GetValue() != want {
			t.Errorf("%s is %v", row[0], f)
		}
	}
	for _, p := range v.cliff() {
		if share := percentOf(p.home).en; share == "65%" || share == "70%" {
			if said := "at " + strings.Replace(share, "%", " %", 1) + " " + strconv.FormatInt((p.planned+500)/1000, 10); !strings.Contains(string(text), said) {
				t.Errorf("the cliff is not %q", said)
			}
		}
	}
}
