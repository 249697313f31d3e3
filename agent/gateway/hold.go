package gateway

import (
	"github.com/heimdraht/heimdraht/agent/firewall"
)

// guardsOf is what the filter must hold after the steps.
func guardsOf(steps []step, failed failures) []firewall.Change {
	changes := make([]firewall.Change, 0, len(steps))
	for _, s := range steps {
		c := firewall.Change{Session: string(s.entry.key[:])}
		if s.want != nil && failed[s.entry.key] == nil {
			c.Guard = s.want.guard()
		}
		changes = append(changes, c)
	}
	return changes
}

// hold has the filter hold sessions. It comes before the device: a peer that is
// new finds its rules, and one that has lost something reaches it no longer.
func (g *Gateway) hold(changes []firewall.Change) error {
	if len(changes) == 0 || g.device == nil || g.device.Filter() == nil {
		return nil
	}
	filter := g.device.Filter()
	err := filter.Apply(changes)
	if err != nil {
		g.log.Warn("the packet filter has refused a change; its table is made anew", "error", err)
		err = filter.Restore()
	}
	if err != nil {
		g.loseFilter(err)
	}
	return err
}

// restoreFilter puts right what somebody else has done to the filter.
func (g *Gateway) restoreFilter() {
	filter := g.device.Filter()
	if filter == nil || !filter.Lost() {
		return
	}
	g.log.Warn("somebody else has changed our table of the packet filter; it is made anew")
	if err := filter.Restore(); err != nil {
		g.loseFilter(err)
	}
}

// loseFilter gives up a device that nothing holds its sessions on.
func (g *Gateway) loseFilter(err error) {
	g.log.Error("the packet filter does not work: the interface is closed, and nobody is let in until it does", "error", err)
	g.lost = true
}
