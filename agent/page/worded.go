package page

import (
	"regexp"
	"strings"

	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// Sentences come from the catalogues of this laptop and of its control plane, which may be of any version, and are written for people
// with a terminal. Here nobody has one. So each command that the pages can do in its place is named as the pages name it, and
// a sentence with any other is left out. That is done to the text, and not by a second text in the catalogues: what an older control
// plane says is put right as well, and nothing has to be told twice.

// done is what the pages have in the place of a command.
type done struct {
	command         *regexp.Regexp
	german, english string
}

// doneHere are these, the longest command first. Arguments go with it.
func doneHere() []done {
	command := func(name string) *regexp.Regexp {
		return regexp.MustCompile(`heimdraht-agent ` + name + `(?: (?:--[a-z-]+(?: [A-ZÄÖÜ]+)?|SERVER#[A-Z]+))*`)
	}
	factor := regexp.MustCompile(`(?:heimdraht factor set-up, (?:auf einem Laptop|on a laptop) )?heimdraht-agent factor set-up`)
	return []done{
		{factor, "auf der Seite „Zweite Bestätigung“", "on the page “Second factor”"},
		{command("enrol"), "auf der Seite „Verbindung“", "on the page “Connection”"},
		{command("sign-in"), "mit „Wieder anmelden“ auf der Seite „Verbindung“", "with “Sign in again” on the page “Connection”"},
		{command("rules"), "auf der Seite „Hausregeln“", "on the page “House rules”"},
		{command("status"), "die Seite „Woran liegt es?“", "the page “What is the matter?”"},
		{command("down"), "mit „Trennen“ auf der Seite „Verbindung“", "with “Disconnect” on the page “Connection”"},
		{command("up"), "mit „Verbinden“ auf der Seite „Verbindung“", "with “Connect” on the page “Connection”"},
	}
}

// commands are words that are typed, of whatever program, and files that nobody here edits. A host may be called heimdraht, too.
var commands = regexp.MustCompile(`heimdraht-agent|(?:^|[\s(:„"])heimdraht(?:d|-gateway)?(?:\.yaml|\.?(?:[\s,;:)]|$))|` +
	`\b(?:systemctl|launchctl|sc\.exe|modprobe|wg-quick|icacls|Start-Service|Restart-Service|net start)\b|(?:^|\s)--[a-z]`)

// forScripts is what is said to programs alone.
var forScripts = regexp.MustCompile(`; (?:für Skripte|for scripts): --\S+ \S+`)

// sentenceEnds is where one ends and the next begins.
var sentenceEnds = regexp.MustCompile(`([.!?])\s+`)

// Worded is a text of one or more sentences as the pages say it, in "en", else in German. Where something was left out that
// would have helped, the helpdesk does.
func Worded(text, language string) string {
	if !commands.MatchString(text) {
		return text
	}
	t := view{Language: language}
	text = forScripts.ReplaceAllString(text, ".")
	for _, d := range doneHere() {
		text = d.command.ReplaceAllLiteralString(text, t.In(d.german, d.english))
	}
	var kept []string
	left := false
	for sentence := range strings.SplitSeq(sentenceEnds.ReplaceAllString(text, "$1\x00"), "\x00") {
		if commands.MatchString(sentence) {
			left = true
			continue
		}
		kept = append(kept, sentence)
	}
	if left {
		kept = append(kept, t.In("Der Helpdesk hilft Ihnen weiter.", "The helpdesk can help you."))
	}
	return strings.Join(kept, " ")
}

// here is a text of Worded on the page "Connection" itself, where what it speaks of stands below.
func here(text string) string {
	return strings.NewReplacer("auf der Seite „Verbindung“", "hier unten", "on the page “Connection”", "below").Replace(text)
}

// hereFactor is the same on the page "Second factor".
func hereFactor(text string) string {
	return strings.NewReplacer("auf der Seite „Zweite Bestätigung“", "hier unten", "on the page “Second factor”", "below").Replace(text)
}

// worded is a status as the pages say it.
func worded(s endpoint.Status, language string) endpoint.Status {
	s.Sentence, s.Next = Worded(s.Sentence, language), Worded(s.Next, language)
	notes := make([]endpoint.Note, len(s.Notes))
	for i, n := range s.Notes {
		n.Sentence, n.Next = Worded(n.Sentence, language), Worded(n.Next, language)
		notes[i] = n
	}
	links := make([]endpoint.Link, len(s.Links))
	for i, l := range s.Links {
		l.Figure = Worded(l.Figure, language)
		links[i] = l
	}
	s.Notes, s.Links = notes, links
	return s
}
