package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheTablesAreCurrent(t *testing.T) {
	for path, language := range pages("../../docs/") {
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		now, err := filled(string(written), language)
		if err != nil {
			t.Fatal(path, ": ", err)
		}
		if diff := cmp.Diff(string(written), now); diff != "" {
			t.Errorf("%s: run make generate (-written +now):\n%s", path, diff)
		}
	}
}

func TestAPageWithoutMarks(t *testing.T) {
	for _, page := range []string{"", "x", begin, end, end + begin} {
		if _, err := filled(page, "en"); err == nil {
			t.Errorf("%q is taken", page)
		}
	}
}
