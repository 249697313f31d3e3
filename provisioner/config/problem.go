package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file.
type Problem struct {
	File    string
	Line    int // from 1; zero: the file as a whole
	Message string
}

// String is the form that editors and people jump to: file:line: message.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Problems is the error of a file that was read but is wrong. It is never
// empty.
type Problems []Problem

// Error lists the mistakes, one a line, in the order of the file.
func (ps Problems) Error() string {
	// Beyond this many a person corrects and tries again anyway.
	const shown = 20
	var lines []string
	for i, p := range ps {
		if i == shown {
			lines = append(lines, fmt.Sprintf("and %d more", len(ps)-shown))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// nearest finds the known key that was probably meant; empty: none is near.
func nearest(typed string, known []string) string {
	best, distance := "", len(typed)/3+2
	for _, k := range known {
		if d := edits(strings.ToLower(typed), k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits counts the letters to insert, drop, replace or swap with their
// neighbour to get from a to b (Damerau-Levenshtein, restricted).
func edits(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row := make([]int, len(t)+1)
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}

// choices writes alternatives for people: "a, b or c".
func choices(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

func sortProblems(ps Problems, order []string) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if c := slices.Index(order, a.File) - slices.Index(order, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
}
