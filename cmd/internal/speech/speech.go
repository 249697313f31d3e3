// Package speech holds what the programs for people share in German and English: which language somebody
// reads, and the words that the command-line library brings along in English only.
//
// What always holds: a text that it does not know comes out as it went in. Nothing is lost in translation.
//
// What a program says itself is not its business: those sentences stand in the program, in both languages side
// by side.
package speech

import "strings"

// Language is "de" or "en".
type Language string

// The languages.
const (
	German  Language = "de"
	English Language = "en"
)

// Of follows the flag --lang, then the environment as POSIX orders it; English if neither says anything. It
// looks at the arguments itself because help and wrong usage are told before they are understood.
func Of(args []string, env func(string) string) Language {
	for i, a := range args {
		if a == "--" {
			break
		}
		if value, ok := strings.CutPrefix(a, "--lang="); ok {
			return named(value)
		}
		if a == "--lang" && i+1 < len(args) {
			return named(args[i+1])
		}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := env(name); value != "" {
			return named(value)
		}
	}
	return English
}

func named(s string) Language {
	if s = strings.ToLower(s); s == "de" || strings.HasPrefix(s, "de_") || strings.HasPrefix(s, "de-") || strings.HasPrefix(s, "de.") {
		return German
	}
	return English
}
