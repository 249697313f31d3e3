package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestDemo: what `make demo` shows first does hold.
func TestDemo(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := start(t.Context(), []string{"--exit"}, &out, &errOut); status != exitDone {
		t.Fatalf("exit status %d:\n%s%s", status, out.String(), errOut.String())
	}
	for _, step := range []string{
		"directory up", "control plane up", "gateway joined", "laptop enrolled", "session open", "page fetched through the tunnel",
		"seat counted", "wrong password refused", "person outside the group refused", "helpdesk signed in, by password and phone", "device revoked", "the same page unreachable",
		"new session refused",
	} {
		if !strings.Contains(out.String(), step+": ") {
			t.Errorf("no step %q in:\n%s", step, out.String())
		}
	}
	if errOut.Len() > 0 {
		t.Errorf("standard error: %s", errOut.String())
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--help"}, exitDone, "--exit"},
		{[]string{"--exti"}, exitUsage, "unknown flag --exti"},
		{[]string{"more"}, exitUsage, "unexpected argument more"},
	} {
		var said bytes.Buffer
		if status := start(t.Context(), c.args, &said, &said); status != c.status || !strings.Contains(said.String(), c.says) {
			t.Errorf("%q ends with %d and says %q, want %d and %q", c.args, status, said.String(), c.status, c.says)
		}
	}
}
