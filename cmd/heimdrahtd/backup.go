package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/heimdraht/heimdraht/provisioner/app"
)

type backupCommand struct {
	To string `required:"" placeholder:"FILE|DIR" help:"A new file, or a directory, in which the backup gets a name that tells time and revision."`
}

// Run implements the command.
func (b backupCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	p := progress{to: s.err, what: "copied"}
	made, err := app.WriteBackup(ctx, c, b.To, p.say)
	p.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Backup    %s\nHolds     epoch %s, revision %d, last record of %s\nSize      %d bytes, written and looked through in %s\nSHA-256   %s\n",
		made.File, made.Epoch, made.Revision, stamp(made.Last), made.Size, made.Took.Round(time.Millisecond), made.SHA256)
	fmt.Fprintf(s.out, "\nThe keys in it are sealed: it is worth nothing without %s,\nwhich is not in it. Keep a copy of that in another place.\n", c.MasterKeyFile)
	return nil
}

// stamp is a time as people compare it on several machines.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// progress shows on a terminal how far long work is.
type progress struct {
	to    io.Writer
	what  string
	shown int // percent; the line is there if it is above zero
}

func (p *progress) say(done, total int) {
	f, ok := p.to.(*os.File)
	if !ok || total == 0 || !term.IsTerminal(int(f.Fd())) {
		return
	}
	if percent := max(1, 100*done/total); percent != p.shown {
		p.shown = percent
		fmt.Fprintf(p.to, "\r%3d %% %s", percent, p.what)
	}
}

// end wipes the line.
func (p *progress) end() {
	if p.shown > 0 {
		fmt.Fprintf(p.to, "\r%s\r", strings.Repeat(" ", 6+len(p.what)))
	}
}

type restoreCommand struct {
	From       string   `required:"" placeholder:"FILE" help:"A file that heimdrahtd backup has written."`
	Journal    []string `placeholder:"FILE|DIR" help:"Where journals of what was taken lie. May be given several times. Default: where this control plane writes its own."`
	Replace    bool     `help:"Put the backup in the place of the database that is there, which is moved aside and kept."`
	AcceptLost bool     `name:"accept-lost-revocations" help:"Restore even if the journals do not tell everything that was revoked after the backup: it may come back."`
}

// Run implements the command.
func (r restoreCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	done, err := app.RestoreBackup(ctx, c, app.RestoreRequest{From: r.From, Journals: r.Journal, Replace: r.Replace, AcceptLost: r.AcceptLost})
	if err != nil {
		return err
	}
	for _, doubt := range done.Doubts {
		fmt.Fprintf(s.err, "heimdrahtd: what was revoked after the backup may have come back: %s\n", doubt)
	}
	fmt.Fprintf(s.out, "Restored  %s\nHeld      epoch %s, revision %d, last record of %s, SHA-256 %s\nNow       epoch %s, revision %d, in %s\n",
		r.From, done.Backup.Epoch, done.Backup.Revision, stamp(done.Backup.Last), done.Backup.SHA256, done.Became.Epoch, done.Became.Revision, c.Database)
	if done.Former != "" {
		fmt.Fprintf(s.out, "Former    %s (kept; delete it when all is well)\n", done.Former)
	}
	for _, file := range done.Journal {
		fmt.Fprintf(s.out, "Journal   %s\n", file)
	}
	n := done.Replay
	fmt.Fprintf(s.out, "Again     %d devices revoked, %d suspended, %d with newer keys; %d gateways with newer keys; %d keys of the control plane; %d people forgotten\n",
		n.Revoked, n.Suspended, n.Replaced, n.Gateways, n.Keys, n.Forgotten)
	fmt.Fprintf(s.out, "Ended     %d sessions; laptops open new ones by themselves. Everybody at the command line signs in again.\n", n.Sessions)
	for _, id := range n.Unknown {
		fmt.Fprintf(s.out, "Look at   device %s: it was revoked or suspended after the backup, which does not know it or its owner; she may enrol anew\n", id)
	}
	fmt.Fprint(s.out, "\nNext:\n    heimdrahtd check\n    heimdrahtd operator-token\n    systemctl start heimdrahtd\n")
	return nil
}
