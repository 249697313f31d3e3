package main

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

// Whatever any catalogue has to say to an employee, the pages say without a command, and say something.
func TestThePagesHaveWordsForEveryCode(t *testing.T) {
	t.Parallel()
	texts := make(map[string][][2]string) // language and text
	add := func(code, german, english string) {
		texts[code] = append(texts[code], [2]string{"de", german}, [2]string{"en", english})
	}
	for _, e := range provisioner.Catalogue() {
		add(string(e.Code), e.German.Sentence, e.English.Sentence)
		add(string(e.Code), e.German.Next, e.English.Next)
	}
	for _, e := range diagnosis.Catalogue() {
		add(string(e.Code), e.German.Sentence, e.English.Sentence)
		add(string(e.Code), e.German.Next, e.English.Next)
	}
	own := []*control.Problem{noBrowser(), daemonMissing(), daemonRunning("x"), daemonForeign(), daemonSilent(nil), noSuchCall(), notYours(), laptopInUse(), laptopFull(), accountUnknown()}
	for _, p := range append(append(control.Catalogue(), endpoint.Catalogue()...), own...) {
		add(p.Code, p.German.Sentence, p.English.Sentence)
		add(p.Code, p.German.Next, p.English.Next)
	}
	changed := 0
	for code, all := range texts {
		for _, text := range all {
			got := page.Worded(text[1], text[0])
			if strings.Contains(got, "heimdraht") || strings.Contains(got, "systemctl") || strings.Contains(got, " --") || got == "" && text[1] != "" {
				t.Errorf("%s: %q", code, got)
			}
			if got != text[1] {
				changed++
			}
		}
	}
	if changed < 60 {
		t.Errorf("only %d texts named a command", changed)
	}
}
