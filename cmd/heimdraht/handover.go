package main

import (
	"context"
	"fmt"
	"io"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type deviceHandOverCommand struct {
	deviceArg
	To string `required:"" placeholder:"LOGIN" help:"${device_hand_over_to}"`
	because
	waiting
	handing
}

// Run revokes a device and invites a colleague to enrol the laptop.
func (c *deviceHandOverCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht device hand-over"
	reason, err := c.reason(a, command)
	if err != nil {
		return err
	}
	wait, err := c.milliseconds(a, command)
	if err != nil {
		return err
	}
	if err := c.check(a, command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait+20*time.Second)
	defer cancel()
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var r *heimdrahtv1.HandOverDeviceResponse
		if err := c.into(a, func(out io.Writer) error {
			err := a.while(words{"warte auf die Zugangsserver ...", "waiting for the gateways ..."}, func() (err error) {
				r, err = k.inv.HandOverDevice(ctx, &heimdrahtv1.HandOverDeviceRequest{DeviceId: c.ID, Login: c.To, Reason: reason, LifeS: c.seconds(), WaitMs: wait})
				return err
			})
			if err == nil && (c.Out != "" || a.form == formTable) {
				_, err = fmt.Fprintln(out, r.GetToken())
			}
			return err
		}); err != nil {
			return err
		}
		return c.tell(a, r)
	})
}

// tell shows the proof. The token is told already, but to programs that read
// standard output.
func (c *deviceHandOverCommand) tell(a *app, r *heimdrahtv1.HandOverDeviceResponse) error {
	t := taken{devices: devicesOf(r.GetDevice()), confirmations: r.GetConfirmations(), one: true}
	if c.Show && a.form != formTable {
		v := invited{InviteResult: &heimdrahtv1.InviteResult{Invitation: r.GetInvitation(), Token: r.GetToken()}}
		t.invitation = &v
	}
	err := a.showTaken(t)
	a.sayInvited(r.GetInvitation(), c.Out)
	return err
}
