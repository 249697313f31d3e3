package main

import "strings"

// language is "de" or "en".
type language string

const (
	german  language = "de"
	english language = "en"
)

// words says one thing in both languages, side by side, so that nobody changes
// one and forgets the other.
type words struct{ de, en string }

func (w words) in(l language) string {
	if l == german {
		return w.de
	}
	return w.en
}

// languageOf follows the flag, then the environment as POSIX orders it. It
// looks at the arguments itself because help and wrong usage are told before
// they are understood.
func languageOf(args []string, env func(string) string) language {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--lang="); ok {
			return languageNamed(value)
		}
		if arg == "--lang" && i+1 < len(args) {
			return languageNamed(args[i+1])
		}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := env(name); value != "" {
			return languageNamed(value)
		}
	}
	return english
}

func languageNamed(s string) language {
	if strings.HasPrefix(strings.ToLower(s), "de") {
		return german
	}
	return english
}
