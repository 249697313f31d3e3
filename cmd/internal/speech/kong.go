package speech

import (
	"regexp"
	"strings"
)

// Help puts the few words of its own that Kong prints around a program's help into the language.
func Help(help, program string, l Language) string {
	const more = `Run "PROGRAM <command> --help" for more information on a command.`
	if l != German {
		return strings.NewReplacer(
			"Show context-sensitive help.", "Show this help.",
			strings.Replace(more, "PROGRAM", program, 1), "More about a command: "+program+" <command> --help",
		).Replace(help)
	}
	return strings.NewReplacer(
		"Usage: "+program+" <command>", "Aufruf: "+program+" <Befehl>",
		"Usage: ", "Aufruf: ",
		" [flags]\n", " [Schalter]\n",
		"\nArguments:", "\nAngaben:",
		"\nFlags:", "\nSchalter:",
		"\nCommands:", "\nBefehle:",
		"Show context-sensitive help.", "Diese Hilfe zeigen.",
		strings.Replace(more, "PROGRAM", program, 1), "Mehr zu einem Befehl: "+program+" <Befehl> --help",
	).Replace(help)
}

// sentence is one of the sentences with which Kong says what is wrong with a command line.
type sentence struct {
	says   *regexp.Regexp
	german string
}

// sentences are those that our grammars can lead to. The first that fits counts.
func sentences() []sentence {
	return []sentence{
		{regexp.MustCompile(`^unexpected argument (.*), did you mean (?:one of )?(.*)\?$`), `"$1" gehört nicht hierher. Meinten Sie $2?`},
		{regexp.MustCompile(`^unexpected argument (.*)$`), `"$1" gehört nicht hierher`},
		{regexp.MustCompile(`^unknown flag (.*), did you mean (?:one of )?(.*)\?$`), `den Schalter $1 gibt es nicht. Meinten Sie $2?`},
		{regexp.MustCompile(`^unknown flag (.*)$`), `den Schalter $1 gibt es nicht`},
		{regexp.MustCompile(`^expected one of (.*)$`), `es fehlt der Befehl, einer von $1`},
		{regexp.MustCompile(`^expected "?([^"]*)"?$`), `es fehlt $1`},
		{regexp.MustCompile(`^missing flags: (.*)$`), `es fehlt $1`},
		{regexp.MustCompile(`^missing positional arguments (.*)$`), `es fehlt $1`},
		{regexp.MustCompile(`^(\S+) must be one of (.*) but got (".*")$`), `$1 ist eines von $2, nicht $3`},
		{regexp.MustCompile(`^(\S+): expected a valid \d+ bit u?int but got (".*")$`), `$1: $2 ist keine Zahl, die hier möglich ist`},
		{regexp.MustCompile(`^(\S+): expected duration but got (".*?")(?:: .*)?$`), `$1: $2 ist keine Dauer; so geht es: 5s`},
		{regexp.MustCompile(`^(\S+): expected \S+ value but got .*$`), `$1: der Wert fehlt`},
	}
}

// Usage puts into the language what Kong says is wrong with a command line.
func Usage(what string, l Language) string {
	if l != German {
		return what
	}
	for _, s := range sentences() {
		if s.says.MatchString(what) {
			return s.says.ReplaceAllString(what, s.german)
		}
	}
	return what
}
