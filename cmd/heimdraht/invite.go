package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type inviteCommand struct {
	Login    string `arg:"" optional:"" name:"login" help:"${invite_login}"`
	Serial   string `placeholder:"NUMBER" help:"${invite_serial}"`
	Name     string `placeholder:"NAME" help:"${invite_name}"`
	CSV      string `name:"csv" placeholder:"FILE|-" help:"${invite_csv}"`
	List     bool   `help:"${invite_list}"`
	All      bool   `help:"${invite_all}"`
	Withdraw string `placeholder:"ID" help:"${invite_withdraw}"`

	Tenant    string `placeholder:"NAME" help:"${invite_tenant}"`
	AnyLaptop bool   `help:"${invite_any_laptop}"`
	handing
}

const inviteName = "heimdraht invite"

// handing is where tokens go, and how long they are good for.
type handing struct {
	Days int    `default:"14" placeholder:"N" help:"${invite_days}"`
	Out  string `placeholder:"FILE" help:"${invite_out}"`
	Show bool   `help:"${invite_show}"`
}

func (h handing) check(a *app, command string) error {
	switch {
	case h.Days < 1 || h.Days > 90:
		return usageError{words{"--days geht von 1 bis 90", "--days goes from 1 to 90"}.in(a.language), command}
	case (h.Out == "") == !h.Show:
		return usageError{words{"wohin mit den Einladungen? --out DATEI, oder --show für den Bildschirm", "where to with the invitations? --out FILE, or --show for the screen"}.in(a.language), command}
	case h.Out == "":
		return nil
	}
	if _, err := os.Lstat(h.Out); !errors.Is(err, fs.ErrNotExist) {
		return fileUnusable(h.Out, "es gibt sie schon", "it is there already")
	}
	return nil
}

func (h handing) seconds() int64 { return int64(h.Days) * int64((24 * time.Hour).Seconds()) }

// into has fill write to the file or, if that was asked for, to standard output.
// The file is made before anybody is invited.
func (h handing) into(a *app, fill func(io.Writer) error) error {
	if h.Show {
		return fill(a.world.out)
	}
	return writeWhole(h.Out, fill)
}

// Run invites, or lists or withdraws invitations.
func (c *inviteCommand) Run(ctx context.Context, a *app) error {
	asked := 0
	for _, is := range []bool{c.Login != "", c.CSV != "", c.List, c.Withdraw != ""} {
		if is {
			asked++
		}
	}
	switch {
	case asked != 1:
		return usageError{words{"was? Nennen Sie einen Benutzernamen, --csv DATEI, --list oder --withdraw ID", "what? Name a login, --csv FILE, --list or --withdraw ID"}.in(a.language), inviteName}
	case c.List:
		return c.list(ctx, a)
	case c.Withdraw != "":
		return c.withdraw(ctx, a)
	}
	if err := c.check(a, inviteName); err != nil {
		return err
	}
	if c.CSV != "" {
		return c.inviteAll(ctx, a)
	}
	if c.Serial == "" && !c.AnyLaptop {
		return usageError{words{"für welchen Laptop? --serial NUMMER; für irgendeinen: --any-laptop", "for which laptop? --serial NUMBER; for whatever laptop: --any-laptop"}.in(a.language), inviteName}
	}
	return c.inviteOne(ctx, a)
}

// inviteOne invites one person. The file then holds the token alone, as
// heimdraht-agent enrol --invitation reads it.
func (c *inviteCommand) inviteOne(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var v invited
		if err := c.into(a, func(out io.Writer) error {
			list, err := c.ask(ctx, k, []inviteLine{{login: c.Login, serial: c.Serial, device: c.Name}})
			if err != nil {
				return err
			}
			if refusal := list[0].GetRefusal(); refusal != nil {
				return control.FromRefusal(refusal)
			}
			v = invited{InviteResult: list[0]}
			if c.Show && a.form != formTable {
				return card(a.printer, invitedColumns(), v)
			}
			_, err = fmt.Fprintln(out, v.GetToken())
			return err
		}); err != nil {
			return err
		}
		a.sayInvited(v.GetInvitation(), c.Out)
		return nil
	})
}

// sayInvited says what to do with a token.
func (a *app) sayInvited(v *heimdrahtv1.Invitation, file string) {
	if file != "" {
		a.hint(words{"Die Einladung für %s steht in %s.", "The invitation for %s is in %s."}, v.GetPersonName(), file)
	}
	a.hint(words{"Sie gilt einmal, bis %s. Auf dem Laptop: heimdraht-agent enrol --invitation DATEI", "It is valid once, until %s. On the laptop: heimdraht-agent enrol --invitation FILE"},
		a.time(timeOf(v.GetExpiresAt())))
}

// ask invites up to as many as the server takes at a time.
func (c *inviteCommand) ask(ctx context.Context, k *client, lines []inviteLine) ([]*heimdrahtv1.InviteResult, error) {
	request := &heimdrahtv1.InviteRequest{Tenant: c.Tenant, LifeS: c.seconds(), AnyLaptop: c.AnyLaptop}
	for _, v := range lines {
		request.Lines = append(request.Lines, &heimdrahtv1.InviteLine{Login: v.login, SerialNumber: v.serial, DeviceName: v.device})
	}
	r, err := k.inv.Invite(ctx, request)
	if err != nil {
		return nil, err
	}
	if len(r.GetResults()) != len(lines) {
		return nil, fmt.Errorf("the server answered %d of %d lines", len(r.GetResults()), len(lines))
	}
	return r.GetResults(), nil
}

// invited is a line that was done.
type invited struct {
	*heimdrahtv1.InviteResult

	line int
}

// invitesAtOnce is how many lines go to the server in one call.
const invitesAtOnce = 200

// inviteAll invites everybody on a list: the good lines are done, the bad ones
// named.
func (c *inviteCommand) inviteAll(ctx context.Context, a *app) error {
	lines, err := c.read(a)
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		i := inviting{inviteCommand: c, app: a, client: k, list: lines, seen: make(map[string]int)}
		var broken error
		if err := c.into(a, func(out io.Writer) error {
			if broken = i.all(ctx); len(i.done) == 0 {
				return firstOf(broken, i.report())
			}
			if c.Show && a.form == formJSON {
				return list(a.printer, "invitations", invitedColumns(), i.done)
			}
			return writeCSV(out, invitedColumns(), i.done)
		}); err != nil {
			return err
		}
		if c.Out != "" {
			a.hint(words{"%d Einladungen stehen in %s.", "%d invitations are in %s."}, len(i.done), c.Out)
		}
		if broken != nil {
			if report := i.report(); report != nil {
				a.fail(report)
			}
			a.hint(words{"Es wurde nicht alles getan. Der Befehl lässt sich wiederholen: Was dann doppelt ist, ersetzt das Frühere.",
				"Not everything was done. The command can be repeated: what is twice then replaces what was before."})
		}
		return firstOf(broken, i.report())
	})
}

// firstOf is the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *inviteCommand) read(a *app) (inviteList, error) {
	in := io.Reader(a.world.in)
	if c.CSV != "-" {
		f, err := os.Open(c.CSV)
		if err != nil {
			return inviteList{}, unreadable(c.CSV, err)
		}
		defer f.Close()
		in = f
	}
	l, err := readInviteList(c.CSV, in, c.AnyLaptop)
	if err != nil {
		return l, err
	}
	if l.latin1 {
		a.hint(words{"Die Datei ist kein UTF-8; sie wurde als Latin-1 (Windows-1252) gelesen.", "The file is not UTF-8; it was read as Latin-1 (Windows-1252)."})
	}
	if len(l.ignored) > 0 {
		a.hint(words{"Nicht beachtete Spalten: %s", "Columns not used: %s"}, strings.Join(l.ignored, ", "))
	}
	return l, nil
}

// inviting is the inviting of a list.
type inviting struct {
	*inviteCommand
	*app

	client *client
	list   inviteList
	done   []invited
	seen   map[string]int // in which line a person and a laptop were invited
}

// all invites line by line. What is done when it breaks off is done.
func (i *inviting) all(ctx context.Context) error {
	shown := ""
	defer i.progressLine(&shown, "")
	total := len(i.list.lines)
	for n := 0; n < total; n += invitesAtOnce {
		i.progressLine(&shown, fmt.Sprintf(words{"%d von %d ...", "%d of %d ..."}.in(i.language), n, total))
		part := i.list.lines[n:min(total, n+invitesAtOnce)]
		results, err := i.ask(ctx, i.client, part)
		if err != nil {
			return err
		}
		for j, r := range results {
			i.take(part[j].line, r)
		}
	}
	return nil
}

// take keeps what became of a line.
func (i *inviting) take(line int, r *heimdrahtv1.InviteResult) {
	if refusal := r.GetRefusal(); refusal != nil {
		text := control.FromRefusal(refusal)
		i.list.bad = append(i.list.bad, badLine{line, words{text.German.Sentence, text.English.Sentence}})
		return
	}
	v := r.GetInvitation()
	key := v.GetPersonId() + " " + v.GetSerialNumber()
	if first, twice := i.seen[key]; twice { // under another spelling of the login: the later token counts
		i.done = slices.DeleteFunc(i.done, func(d invited) bool { return d.line == first })
		i.list.bad = append(i.list.bad, badLine{first, sameAs(line)})
	}
	i.seen[key] = line
	i.done = append(i.done, invited{r, line})
}

// report names the lines that were left out; nil if there are none.
func (i *inviting) report() error {
	if len(i.list.bad) == 0 {
		return nil
	}
	slices.SortFunc(i.list.bad, func(a, b badLine) int { return a.line - b.line })
	text := func(in func(words) string) string {
		const shown = 100 // beyond this many a person corrects and tries again anyway
		var b strings.Builder
		fmt.Fprintf(&b, in(words{"%d Zeilen sind nicht eingeladen:", "%d lines are not invited:"}), len(i.list.bad))
		for n, v := range i.list.bad {
			if n == shown {
				fmt.Fprintf(&b, in(words{"\nund %d weitere", "\nand %d more"}), len(i.list.bad)-shown)
				break
			}
			fmt.Fprintf(&b, "\n%s:%d: %s", i.CSV, v.line, in(v.why))
		}
		return b.String()
	}
	next := words{"Berichtigen Sie sie, und laden Sie sie noch einmal ein. Die übrigen sind eingeladen.", "Correct them and invite them again. The others are invited."}
	if len(i.done) == 0 {
		next = words{"Berichtigen Sie sie. Niemand ist eingeladen.", "Correct them. Nobody is invited."}
	}
	return problem(codeLinesRefused, words{text(func(w words) string { return w.de }), text(func(w words) string { return w.en })}, next)
}

func (c *inviteCommand) list(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var all []*heimdrahtv1.Invitation
		for request := (&heimdrahtv1.ListInvitationsRequest{Tenant: c.Tenant, All: c.All}); ; {
			r, err := k.inv.ListInvitations(ctx, request)
			if err != nil {
				return err
			}
			all = append(all, r.GetInvitations()...)
			if request.PageToken = r.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		if len(all) == 0 {
			a.hint(words{"Es gibt keine offenen Einladungen.", "There are no open invitations."})
		}
		return list(a.printer, "invitations", invitationColumns(), all)
	})
}

func (c *inviteCommand) withdraw(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.inv.WithdrawInvitation(ctx, &heimdrahtv1.WithdrawInvitationRequest{InvitationId: c.Withdraw})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, invitationColumns(), r.GetInvitation())
		}
		a.say(words{"Die Einladung für %s gilt nicht mehr.", "The invitation for %s is no longer valid."}, r.GetInvitation().GetPersonName())
		return nil
	})
}

// invitedColumns are what a file of invitations holds.
func invitedColumns() []column[invited] {
	return []column[invited]{
		{"login", words{"Login", "login"}, func(v invited) any { return v.GetInvitation().GetLogin() }},
		{"name", words{"Name", "name"}, func(v invited) any { return v.GetInvitation().GetPersonName() }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(v invited) any { return v.GetInvitation().GetSerialNumber() }},
		{"device_name", words{}, func(v invited) any { return v.GetInvitation().GetDeviceName() }},
		{"token", words{"Einladung", "invitation"}, func(v invited) any { return shown{v.GetToken(), words{v.GetToken(), v.GetToken()}} }},
		{"expires_at", words{"bis", "until"}, func(v invited) any { return timeOf(v.GetInvitation().GetExpiresAt()) }},
		{"invitation_id", words{}, func(v invited) any { return v.GetInvitation().GetInvitationId() }},
	}
}

func invitationColumns() []column[*heimdrahtv1.Invitation] {
	return []column[*heimdrahtv1.Invitation]{
		{"invitation_id", words{"Einladung", "invitation"}, func(v *heimdrahtv1.Invitation) any { return v.GetInvitationId() }},
		{"login", words{"Login", "login"}, func(v *heimdrahtv1.Invitation) any { return v.GetLogin() }},
		{"name", words{"Name", "name"}, func(v *heimdrahtv1.Invitation) any { return v.GetPersonName() }},
		{"tenant", words{}, func(v *heimdrahtv1.Invitation) any { return v.GetTenant() }},
		{"person_id", words{}, func(v *heimdrahtv1.Invitation) any { return v.GetPersonId() }},
		{"serial_number", words{"Seriennummer", "serial number"}, func(v *heimdrahtv1.Invitation) any { return v.GetSerialNumber() }},
		{"device_name", words{}, func(v *heimdrahtv1.Invitation) any { return v.GetDeviceName() }},
		{"state", words{"Zustand", "state"}, func(v *heimdrahtv1.Invitation) any { return invitationState(v.GetState()) }},
		{"expires_at", words{"bis", "until"}, func(v *heimdrahtv1.Invitation) any { return timeOf(v.GetExpiresAt()) }},
		{"ended_at", words{}, func(v *heimdrahtv1.Invitation) any { return timeOf(v.GetEndedAt()) }},
		{"device_id", words{}, func(v *heimdrahtv1.Invitation) any { return v.GetDeviceId() }},
		{"invited_by", words{}, func(v *heimdrahtv1.Invitation) any { return v.GetInvitedBy() }},
		{"created_at", words{}, func(v *heimdrahtv1.Invitation) any { return timeOf(v.GetCreatedAt()) }},
	}
}

func invitationState(state string) any {
	w, ok := map[string]words{
		"open": {"offen", "open"}, "used": {"benutzt", "used"}, "withdrawn": {"zurückgezogen", "withdrawn"},
		"replaced": {"ersetzt", "replaced"}, "expired": {"abgelaufen", "expired"},
	}[state]
	if !ok {
		return state // of a newer server
	}
	return shown{state, w}
}
