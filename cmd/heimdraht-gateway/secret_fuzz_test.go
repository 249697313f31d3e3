package main

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
)

// FuzzSecret gives any file for the one with the secret: it is taken as it stands,
// or refused with words that hold nothing of it.
func FuzzSecret(f *testing.F) {
	for _, seed := range []string{"", "\n", "x", "x\r\n", "x\n\n", "a\nb", "\x00", "\xff", strings.Repeat("x", longestToken), strings.Repeat("x", longestToken+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		got, err := readToken(strings.NewReader(content), "FILE")
		if err != nil {
			p, ok := control.AsProblem(err)
			if !ok || p.German.Next == "" || len(content) > 40 && strings.Contains(p.Error(), content) {
				t.Errorf("not fit to be shown: %v", err)
			}
			return
		}
		if got == "" || len(got) > longestToken || strings.ContainsAny(got, "\r\n\x00") || !strings.Contains(content, got) {
			t.Errorf("%q was taken for %q", content, got)
		}
	})
}
