package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/directory/survey"
)

type directoryTestCommand struct {
	File      []string `short:"f" sep:"none" placeholder:"FILE" help:"${apply_file}"`
	Directory string   `placeholder:"NAME" help:"${directory_test_directory}"`
	Tenant    string   `placeholder:"NAME" help:"${sessions_tenant}"`
	Login     string   `placeholder:"LOGIN" help:"${directory_test_login}"`
}

// Run looks at the directories that files declare, from this machine, as the control plane would use them. It asks no
// control plane.
func (c *directoryTestCommand) Run(ctx context.Context, a *app) error {
	usage := func(w words) error { return usageError{w.in(a.language), "heimdraht directory test"} }
	if len(c.File) == 0 {
		return usage(words{"welche Dateien? Nennen Sie sie mit -f", "which files? Name them with -f"})
	}
	declared, err := config.LoadDeclaration(c.File...)
	var path *fs.PathError
	if errors.As(err, &path) {
		return unreadable(path.Path, err)
	}
	if err != nil {
		return err
	}
	todo := c.choose(declared)
	switch {
	case len(todo) == 0 && c.Tenant != "":
		return usage(words{"die Dateien nennen dort keine solche Verwaltung", "the files name no such tenant there"})
	case len(todo) == 0:
		return usage(words{"die Dateien nennen kein solches Verzeichnis", "the files name no such directory"})
	case c.Login != "" && (len(todo) > 1 || len(todo[0].Tenants) != 1):
		return usage(words{"zu --login gehört eine Verwaltung: --tenant NAME", "--login needs one tenant: --tenant NAME"})
	}
	return a.test(ctx, todo)
}

// choose pairs the directories with their tenants, of those that are asked for.
func (c *directoryTestCommand) choose(d config.Declaration) (todo []survey.Options) {
	for _, dir := range d.Directories {
		o := survey.Options{Directory: dir, Login: c.Login}
		for _, t := range d.Tenants {
			if t.Directory == dir.Name && (c.Tenant == "" || c.Tenant == t.Name) {
				o.Tenants = append(o.Tenants, t)
			}
		}
		if (c.Directory == "" || c.Directory == dir.Name) && (c.Tenant == "" || len(o.Tenants) > 0) {
			todo = append(todo, o)
		}
	}
	return todo
}

// tested is a step with the directory that it is about.
type tested struct {
	survey.Step
	directory string
}

func (a *app) test(ctx context.Context, todo []survey.Options) error {
	var all []tested
	for _, o := range todo {
		progress := a.counter()
		last := ""
		o.Progress = progress.show
		o.Say = func(s survey.Step) {
			progress.clear()
			all = append(all, tested{s, o.Directory.Name})
			if a.form != formTable {
				return
			}
			if s.Server != last {
				if len(all) > 1 {
					a.say(words{})
				}
				a.say(words{"%s: %s", "%s: %s"}, o.Directory.Name, s.Server)
			}
			last = s.Server
			a.sayStep(s)
		}
		if err := survey.Run(ctx, o); err != nil {
			return err
		}
	}
	if err := a.listTested(all); err != nil {
		return err
	}
	bad := 0
	for _, s := range all {
		if !s.OK {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	sentence := words{fmt.Sprintf("%d Schritte sind nicht in Ordnung.", bad), fmt.Sprintf("%d steps are not in order.", bad)}
	if bad == 1 {
		sentence = words{"Ein Schritt ist nicht in Ordnung.", "One step is not in order."}
	}
	return problem(codeNotInOrder, sentence, words{"Bei jedem steht, was zu tun ist.", "Each says what to do."})
}

func (a *app) listTested(all []tested) error {
	if a.form == formTable {
		return nil // said as it was found
	}
	in := func(key string, of func(survey.Step) survey.Text) column[tested] {
		return column[tested]{key, words{}, func(s tested) any { t := of(s.Step); return words{t.German, t.English}.in(a.language) }}
	}
	return list(a.printer, "steps", []column[tested]{
		{"directory", words{}, func(s tested) any { return s.directory }},
		{"server", words{}, func(s tested) any { return s.Server }},
		{"tenant", words{}, func(s tested) any { return s.Tenant }},
		in("what", func(s survey.Step) survey.Text { return s.What }),
		{"ok", words{}, func(s tested) any { return s.OK }},
		{"code", words{}, func(s tested) any { return s.Code }},
		in("detail", func(s survey.Step) survey.Text { return s.Detail }),
		in("next", func(s survey.Step) survey.Text { return s.Next }),
	}, all)
}

func (a *app) sayStep(s survey.Step) {
	verdict := "ok    "
	if !s.OK {
		verdict = words{"FEHLER", "NOT OK"}.in(a.language)
	}
	what := words{s.What.German, s.What.English}
	if s.Tenant != "" {
		what = words{s.Tenant + ", " + what.de, s.Tenant + ", " + what.en}
	}
	a.say(words{"  %s  %s: %s", "  %s  %s: %s"}, verdict, what.in(a.language), words{s.Detail.German, s.Detail.English}.in(a.language))
	if next := (words{s.Next.German, s.Next.English}).in(a.language); next != "" {
		a.say(words{"          -> %s", "          -> %s"}, next)
	}
}

// counter shows on a terminal how far reading has come.
type counter struct {
	app   *app
	shown time.Time
	width int
}

func (a *app) counter() *counter { return &counter{app: a} }

func (c *counter) show(entries int) {
	const pause = 100 * time.Millisecond
	if !c.app.progress || c.app.form != formTable || time.Since(c.shown) < pause {
		return
	}
	text := fmt.Sprintf(words{"  lese ... %d", "  reading ... %d"}.in(c.app.language), entries)
	c.shown, c.width = time.Now(), max(c.width, columnsOf(text))
	fmt.Fprint(c.app.printer.err, "\r", text)
}

func (c *counter) clear() {
	if c.width > 0 {
		fmt.Fprint(c.app.printer.err, "\r", strings.Repeat(" ", c.width), "\r")
		c.width = 0
	}
}
