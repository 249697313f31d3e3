package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

type openCommand struct {
	Print bool `help:"${open_print}"`
}

// browserWithin is how long a browser may take to read the file that leads it to the page.
const browserWithin = 15 * time.Second

// Run opens the pages in the person's browser.
func (c *openCommand) Run(ctx context.Context, a *app) error {
	invited, err := a.daemon(ctx).open(ctx, a.language)
	if err != nil {
		return err
	}
	if c.Print {
		a.say(words{"Öffnen Sie im Browser: ", "Open in a browser: "}.in(a.language) + invited.URL)
		a.say(words{"Zugangscode, einmal und eine Minute lang gültig: ", "Code, good once and for a minute: "}.in(a.language) + invited.Token)
		return nil
	}
	// Into the person's home folder: browsers that are kept in a box of their own see nothing else.
	home, err := os.UserHomeDir()
	if err != nil {
		return noBrowser().Because(err)
	}
	file, err := invited.Lead(home)
	if err != nil {
		return noBrowser().Because(err)
	}
	defer func() { _ = os.Remove(file) }()
	command := browser(ctx, file)
	if err := command.Start(); err != nil {
		return noBrowser().Because(err)
	}
	a.say(words{"Ihr Browser öffnet sich.", "Your browser is opening."}.in(a.language))
	failed := make(chan error, 1)
	go func() { failed <- command.Wait() }()
	select {
	case err := <-failed:
		if err != nil && ctx.Err() == nil {
			return noBrowser().Because(err)
		}
		return control.Sleep(ctx, browserWithin) // it has been told, and reads in its own time
	case <-time.After(browserWithin): // some stay until the browser is closed
		return nil
	}
}

// browser is the command that opens a file in whatever browser the person uses.
func browser(ctx context.Context, file string) *exec.Cmd {
	name, args := "xdg-open", []string{file}
	switch runtime.GOOS {
	case "windows":
		name, args = "rundll32.exe", []string{"url.dll,FileProtocolHandler", file}
	case "darwin":
		name = "/usr/bin/open"
	}
	return exec.CommandContext(ctx, name, args...) //nolint:gosec // the file is one that was just made
}
