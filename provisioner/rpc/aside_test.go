package rpc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestWhatIsDoneAsideComesBack(t *testing.T) {
	want := errors.New("no")
	if err := aside(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("an error comes back as %v", err)
	}
	defer func() {
		if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "a mistake\n") || !strings.Contains(p, "aside_test.go") {
			t.Errorf("a panic comes back as %q", p)
		}
	}()
	_ = aside(func() error { panic("a mistake") })
	t.Error("a panic does not come back")
}
