package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/app"
)

type rolloverCommand struct {
	CA struct {
		Begin  caBeginCommand  `cmd:"" help:"Make the next CA. The present one goes on issuing, and agents learn of the next one when they renew."`
		Switch caSwitchCommand `cmd:"" help:"Let the next CA issue. The former one's certificates stay good."`
		Finish caFinishCommand `cmd:"" help:"Retire the former CA, once no living certificate of it is left."`
		Status caStatusCommand `cmd:"" help:"Say how far it is, and who is missing."`
	} `cmd:"" name:"ca" help:"Replace the CA, in stages."`
	SessionKeys sessionKeysCommand `cmd:"" help:"Make a new root of preshared keys, for new sessions. Open ones live on with theirs."`
	MasterKey   masterKeyCommand   `cmd:"" help:"Seal all keys with a new master key. The control plane must be stopped."`
}

type (
	caBeginCommand  struct{}
	caStatusCommand struct{}
	caSwitchCommand struct {
		Now bool `help:"Even if some who have not learnt of the next CA will have to enrol anew."`
	}
	caFinishCommand struct {
		Now bool `help:"Even if certificates of the former CA are left: who has one proves himself by password, gateways join anew. For a stolen key."`
	}
	sessionKeysCommand struct{}
	masterKeyCommand   struct{}
)

// Run implements the command.
func (caBeginCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	return showAuthorities(s.out)(app.BeginCA(ctx, c))
}

// Run implements the command.
func (b caSwitchCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	return showAuthorities(s.out)(app.SwitchCA(ctx, c, b.Now))
}

// Run implements the command.
func (f caFinishCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	return showAuthorities(s.out)(app.FinishCA(ctx, c, f.Now))
}

// Run implements the command.
func (caStatusCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	return showAuthorities(s.out)(app.LookAtAuthorities(ctx, c))
}

// showAuthorities says how the CAs stand, and what comes next.
func showAuthorities(w io.Writer) func(app.Authorities, error) error {
	return func(a app.Authorities, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "Issues    %s, until %s\n", a.Issuing, a.IssuingEnds.Format(time.DateOnly))
		missing := fmt.Sprintf("%d devices, %d gateways %v", a.Missing.Devices, len(a.Missing.Gateways), a.Missing.Gateways)
		if a.Missing.Devices == 0 && len(a.Missing.Gateways) == 0 {
			missing = "nobody"
		}
		switch {
		case a.Next != "":
			fmt.Fprintf(w, "Next      %s\nMissing   %s (who has not learnt of it; all have within 30 days)\n", a.Next, missing)
			if a.Bridged {
				fmt.Fprint(w, "\nThe present CA vouches for it: whoever is missing will trust it nevertheless.\n")
			} else {
				fmt.Fprint(w, "\nThe present CA cannot vouch for it: do not switch before nobody is missing.\n")
			}
			fmt.Fprint(w, "Next step: heimdrahtd rollover ca switch\n")
		case a.Former != "":
			fmt.Fprintf(w, "Former    %s\nMissing   %s (who has a certificate of it)\n", a.Former, missing)
			fmt.Fprint(w, "\nNext step, when nobody is missing: heimdrahtd rollover ca finish\n")
		default:
			fmt.Fprint(w, "\nNo rollover is under way.\n")
		}
		return nil
	}
}

// Run implements the command.
func (sessionKeysCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	made, err := app.RollOverSessionKeys(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Version %d is used for new sessions within some seconds. Open sessions live on with theirs.\n", made.Version)
	for _, v := range made.Dropped {
		fmt.Fprintf(s.out, "Version %d was deleted: no session used it.\n", v)
	}
	return nil
}

// Run implements the command.
func (masterKeyCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	former, err := app.RollOverMasterKey(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "The keys are sealed with a new master key, %s.\nCopy it to where its copy is kept, and to every replica.\n", c.MasterKeyFile)
	fmt.Fprintf(s.out, "Backups from before need the former one, %s: make a backup now, and keep it for as long as you keep them.\n", former)
	return nil
}
