package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// accessCommands take, and give back, the access of many at once.
type accessCommands struct {
	Revoke  accessRevokeCommand  `cmd:"" help:"${access_revoke}"`
	Suspend accessSuspendCommand `cmd:"" help:"${access_suspend}"`
	Restore accessRestoreCommand `cmd:"" help:"${access_restore}"`
	Follow  accessFollowCommand  `cmd:"" help:"${access_follow}"`
}

// many says whose access it is.
type many struct {
	urgent
	waiting

	Reason       string `placeholder:"TEXT" help:"${reason}"`
	Tenant       string `placeholder:"NAME" help:"${access_tenant}"`
	Person       string `placeholder:"ID" help:"${access_person}"`
	Gateway      string `placeholder:"NAME" help:"${access_gateway}"`
	AgentVersion string `placeholder:"VERSION" help:"${access_version}"`
	UnusedDays   uint32 `placeholder:"90" help:"${access_unused}"`
	DryRun       bool   `help:"${access_dry_run}"`
}

type accessRevokeCommand struct{ many }

// Run revokes for good.
func (c *accessRevokeCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, heimdrahtv1.TakeAction_TAKE_ACTION_REVOKE, time.Time{})
}

type accessSuspendCommand struct {
	many

	Until string `placeholder:"2027-03-01" help:"${access_until}"`
}

// Run lets access rest.
func (c *accessSuspendCommand) Run(ctx context.Context, a *app) error {
	var until time.Time
	if c.Until != "" {
		var err error
		if until, err = time.ParseInLocation(time.DateOnly, c.Until, time.Local); err != nil {
			return usageError{words{"--until ist ein Tag wie 2027-03-01", "--until is a day like 2027-03-01"}.in(a.language), "heimdraht access suspend"}
		}
	}
	return c.run(ctx, a, heimdrahtv1.TakeAction_TAKE_ACTION_SUSPEND, until)
}

type accessRestoreCommand struct{ many }

// Run gives back what suspend took.
func (c *accessRestoreCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, heimdrahtv1.TakeAction_TAKE_ACTION_RESTORE, time.Time{})
}

type accessFollowCommand struct {
	waiting

	ID string `arg:"" name:"id" help:"${access_follow_id}"`
}

// Run waits for what was begun before.
func (c *accessFollowCommand) Run(ctx context.Context, a *app) error {
	wait, err := c.milliseconds(a, "heimdraht access follow")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error { return a.follow(ctx, k, c.ID, wait) })
}

func (c *many) run(ctx context.Context, a *app, action heimdrahtv1.TakeAction, until time.Time) error {
	command := "heimdraht access " + strings.ToLower(strings.TrimPrefix(action.String(), "TAKE_ACTION_"))
	if c.Tenant == "" && c.Person == "" && c.Gateway == "" && c.AgentVersion == "" && c.UnusedDays == 0 {
		return usageError{words{"wessen Zugang? --tenant, --person, --gateway, --agent-version oder --unused-days", "whose access? --tenant, --person, --gateway, --agent-version or --unused-days"}.in(a.language), command}
	}
	reason, err := because{c.Reason}.reason(a, command)
	if err != nil && !c.DryRun {
		return err
	}
	wait, err := c.milliseconds(a, command)
	if err != nil {
		return err
	}
	request := &heimdrahtv1.TakeRequest{
		Action: action, Tenant: c.Tenant, PersonId: c.Person, Gateway: c.Gateway, AgentVersion: c.AgentVersion,
		UnusedDays: c.UnusedDays, Reason: reason, Emergency: c.Emergency, DryRun: c.DryRun,
	}
	if !until.IsZero() {
		request.EndsAt = timestamppb.New(until)
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.Take(ctx, request)
		switch {
		case err != nil:
			return err
		case r.GetTakingId() != "":
			return a.follow(ctx, k, r.GetTakingId(), wait)
		case a.form == formJSON:
			return a.json(orderedObject{{"devices", r.GetDevices()}, {"people", r.GetPeople()}, {"proposal", proposalOrNil(r.GetProposal())}})
		case a.form == formCSV:
			return card(a.printer, []column[*heimdrahtv1.TakeResponse]{
				{"devices", words{}, func(r *heimdrahtv1.TakeResponse) any { return r.GetDevices() }},
				{"people", words{}, func(r *heimdrahtv1.TakeResponse) any { return r.GetPeople() }},
				{"proposal_id", words{}, func(r *heimdrahtv1.TakeResponse) any { return r.GetProposal().GetProposalId() }},
			}, r)
		}
		a.say(words{"Es geht um %d Laptops von %d Menschen.", "It is about %d laptops of %d people."}, r.GetDevices(), r.GetPeople())
		switch p := r.GetProposal(); {
		case p != nil:
			a.sayWaits(p)
		case action == heimdrahtv1.TakeAction_TAKE_ACTION_RESTORE && r.GetDevices() == 0:
			a.say(words{"Mit dieser Auswahl ruht nichts. Was einzeln ruht, gibt heimdraht device restore zurück; was mit anderer Auswahl ruht, dieselbe Auswahl.",
				"Nothing is suspended by this selection. What rests singly is given back by heimdraht device restore; what rests by another selection, by that one."})
		}
		return nil
	})
}

func proposalOrNil(p *heimdrahtv1.Proposal) any {
	if p == nil {
		return nil
	}
	return object(proposalColumns(), p)
}

// follow shows how far a taking has come, and the proof at its end. Who breaks
// off does not stop it.
func (a *app) follow(ctx context.Context, k *client, id string, wait int64) error {
	stream, err := k.desk.FollowTaking(ctx, &heimdrahtv1.FollowTakingRequest{TakingId: id, WaitMs: wait})
	if err != nil {
		return err
	}
	shown := ""
	clear := func() { a.progressLine(&shown, "") }
	defer clear()
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return goesOn(codeNoAnswer, words{"Der Server hat aufgehört zu antworten.", "The server stopped answering."}, id)
		}
		if err != nil {
			return err
		}
		if !r.GetFinished() {
			a.progressLine(&shown, fmt.Sprintf(words{"%d von %d Laptops ...", "%d of %d laptops ..."}.in(a.language), r.GetDone(), r.GetDevices()))
			continue
		}
		clear()
		return a.showMany(r, id)
	}
}

// goesOn is a problem that does not stop what was begun.
func goesOn(code string, sentence words, id string) error {
	return problem(code, sentence, words{"Was begonnen ist, geht weiter. Wie weit es ist, sagt: heimdraht access follow " + id,
		"What is begun goes on. How far it is tells: heimdraht access follow " + id})
}

// progressLine shows a line in the place of the former one, on a terminal.
func (a *app) progressLine(shown *string, text string) {
	if !a.progress || a.form != formTable || *shown == text {
		return
	}
	fmt.Fprint(a.printer.err, "\r", strings.Repeat(" ", columnsOf(*shown)), "\r", text)
	*shown = text
}

// showMany shows what became of many devices, and the gateways' word on it.
func (a *app) showMany(r *heimdrahtv1.FollowTakingResponse, id string) error {
	t := taken{confirmations: r.GetConfirmations()}
	var err error
	switch a.form {
	case formTable:
		a.say(words{"%d Laptops.", "%d laptops."}, r.GetDone())
		a.sayConfirmations(t.confirmations, r.GetDone() > 0)
	case formJSON:
		err = a.json(orderedObject{{"devices", r.GetDone()}, {"confirmations", objects(confirmationColumns(), t.confirmations)}, {"confirmed", t.confirmed()}})
	default:
		err = list(a.printer, "confirmations", confirmationColumns(), t.confirmations)
	}
	if err != nil || t.confirmed() {
		return err
	}
	return goesOn(codeNotConfirmed, words{"Nicht jeder Zugangsserver hat bestätigt.", "Not every gateway has confirmed."}, id)
}
