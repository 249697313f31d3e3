package audit

import (
	"strings"
	"unicode"
)

const (
	// ReasonLimit is how many characters (Unicode code points) a reason has at
	// most: a few sentences.
	ReasonLimit = 500

	textLimit   = 200
	detailLimit = 2000
)

// CleanReason is a reason as it is kept: one line, at most ReasonLimit long.
// Empty means that none was given.
func CleanReason(s string) string { return CleanText(s, ReasonLimit) }

// CleanText makes one line of at most limit characters of what somebody typed:
// no character that moves the cursor, hides or turns the text around it, or is
// no text at all, so that a record reads in every terminal and export as it was
// meant. What is too long ends in "…"; limit is at least 1. Idempotent.
func CleanText(s string, limit int) string {
	var out strings.Builder
	var n int
	var gap bool
	for _, r := range s { // what is no UTF-8 arrives as U+FFFD
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			gap = true
			continue
		case !unicode.IsPrint(r):
			continue // formatting, unassigned and private characters
		}
		need := 1
		if gap && n > 0 {
			need = 2
		}
		if n+need > limit {
			return shorten(out.String(), limit)
		}
		if need == 2 {
			out.WriteByte(' ')
		}
		out.WriteRune(r)
		n += need
		gap = false
	}
	return out.String()
}

// shorten cuts a clean text that goes on beyond limit characters.
func shorten(s string, limit int) string {
	runes := []rune(s)
	if keep := limit - 1; keep >= 0 && keep < len(runes) {
		runes = runes[:keep]
	}
	return strings.TrimRight(string(runes), " ") + "…"
}
