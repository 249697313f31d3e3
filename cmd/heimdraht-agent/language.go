package main

import "github.com/heimdraht/heimdraht/cmd/internal/speech"

// words says one thing in both languages, side by side, so that nobody changes
// one and forgets the other.
type words struct{ de, en string }

func (w words) in(l speech.Language) string {
	if l == speech.German {
		return w.de
	}
	return w.en
}
