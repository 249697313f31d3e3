package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

func TestThePageIsCurrent(t *testing.T) {
	written, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), page()); diff != "" {
		t.Errorf("run make generate (-written +now):\n%s", diff)
	}
}

// TestBothSidesSayTheSame: what the control plane and a laptop find out under the
// same code they say in the same words, and send to the same people.
func TestBothSidesSayTheSame(t *testing.T) {
	same := 0
	for _, p := range append(control.Catalogue(), endpoint.Catalogue()...) {
		for _, e := range diagnosis.Catalogue() {
			if string(e.Code) != p.Code {
				continue
			}
			same++
			want := []string{string(e.Who), e.German.Sentence, e.German.Next, e.English.Sentence, e.English.Next}
			got := []string{string(p.Who), p.German.Sentence, p.German.Next, p.English.Sentence, p.English.Next}
			switch p.Code {
			case endpoint.CodeServerAway: // the laptop says it of the server, the server of the laptop
				want[1], got[1], want[3], got[3] = "", "", "", ""
			case endpoint.CodeSeatAwaited: // the laptop says it to who waits, and for how long
				want, got = want[:1], got[:1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-control plane +laptop):\n%s", p.Code, diff)
			}
		}
	}
	if same < 4 {
		t.Errorf("only %d codes are known to both", same)
	}
}
