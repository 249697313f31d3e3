package rpc

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// gatewayNews is what a stream knows of the gateway of its session.
type gatewayNews struct {
	session provisioner.Session
	site    string
	changed <-chan struct{}    // closed when there is other news; nil: there is no session
	moves   provisioner.Ending // by which the session goes to another gateway; zero: it stays
	spread  time.Duration      // over which its laptops do
}

// gently is how much longer laptops take to move than from a gateway that is dead: nobody waits for it.
const gently = 10

// tellGateway tells the laptop what has become of its gateway: that nobody hears it, that
// it is being left, or that there is much more room elsewhere. That nobody hears it is
// said with each renewal again: it may have been cut off then, and dead since.
func (a *attachment) tellGateway(ctx context.Context) error {
	if a.session == "" {
		return nil
	}
	g := &a.gateway
	news := a.sessions.News(g.session.Gateway)
	g.changed, g.spread = news.Changed, gently*news.Spread
	if news.Unheard {
		if err := a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Unheard{Unheard: &heimdrahtv1.GatewayUnheard{
			SessionId: a.session, SpreadMs: news.Spread.Milliseconds(),
		}}}); err != nil {
			return err
		}
	}
	home := g.moves.Why == provisioner.CodeGatewayHome
	switch {
	case news.Leaving.Why != "":
		g.moves = provisioner.Ending{EndsAt: news.Leaving.By, Why: news.Leaving.Why}
	case !a.sessions.Away(g.session, g.site, home):
		g.moves = provisioner.Ending{}
	case !home:
		g.moves = provisioner.GoingHome(time.Now())
	}
	return a.tellEnding(ctx)
}
