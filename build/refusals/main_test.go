package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
)

func TestThePageIsCurrent(t *testing.T) {
	written, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), page(provisioner.Catalogue(), app.SetupCatalogue())); diff != "" {
		t.Errorf("run make generate (-written +now):\n%s", diff)
	}
}
