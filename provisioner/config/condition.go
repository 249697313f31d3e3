package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// conditions reads what laptops must meet before a session opens.
func conditions(m *mapping, p *provisioner.ConditionPolicy) {
	v, ok := m.ask("conditions")
	if !ok {
		return
	}
	c := v.mapping("conditions")
	if c == nil {
		return
	}
	c.under(m.prefix + "conditions.")
	for _, name := range provisioner.Conditions() {
		c.demand(name, p)
	}
	minutes := int64(0)
	c.whole("screen_lock_minutes", &minutes, 1, provisioner.MostScreenLock)
	p.ScreenLockMinutes = int(minutes)
	if v, ok := c.ask("screen_lock_minutes"); ok && p.Demand(provisioner.ScreenLock) == provisioner.DemandOff {
		v.failf("is for screen_lock: required or reported only")
	}
	if v, ok := c.ask("supported_until"); ok {
		p.SystemEnds = systemEnds(v)
		if p.Demand(provisioner.SupportedSystem) == provisioner.DemandOff {
			v.failf("is for supported_system: required or reported only")
		}
	}
	p.GraceDays = provisioner.DefaultGraceDays
	c.grace(&p.GraceDays)
	unknown := "allow"
	c.text("unknown", &unknown, oneOf("allow", "deny"))
	p.DenyUnknown = unknown == "deny"
	c.done()
	if len(p.Asked()) == 0 {
		*p = provisioner.ConditionPolicy{} // nothing is asked, whatever else is said
	}
}

// demand reads how much is asked for one condition: off where the key is missing.
func (m *mapping) demand(c provisioner.Condition, p *provisioner.ConditionPolicy) {
	demand := "off"
	m.text(string(c), &demand, oneOf("required", string(provisioner.DemandReported), "off"))
	if demand == "off" {
		return
	}
	if p.Demands == nil {
		p.Demands = make(map[provisioner.Condition]provisioner.Demand)
	}
	p.Demands[c] = provisioner.Demand(demand)
}

// grace reads a number of days, such as 14d.
func (m *mapping) grace(into *int) {
	v, s, ok := m.askText("grace")
	if !ok {
		return
	}
	if s == "none" {
		*into = 0
		return
	}
	number, found := strings.CutSuffix(s, "d")
	n, err := strconv.Atoi(number)
	if !found || err != nil || number[0] < '1' || number[0] > '9' || n > provisioner.MostGraceDays {
		v.failf("%q is no number of days such as 14d, of at most %dd; without any: none", quoted(s), provisioner.MostGraceDays)
		return
	}
	*into = n
}

// systemEnds reads until when systems are supported, by their names.
func systemEnds(v value) (ends []provisioner.SystemEnd) {
	m := v.mapping("supported_until")
	if m == nil {
		return nil
	}
	if len(m.keys) > provisioner.MostSystemEnds {
		v.failf("has %d systems; at most %d", len(m.keys), provisioner.MostSystemEnds)
		return nil
	}
	m.under(v.path + ".")
	for _, e := range m.keys {
		if !provisioner.IsSystemName(e.key) {
			m.fail(e.line, "%s: %q is no system and version such as \"debian 12\", \"windows 22631\" or \"macos 14\"", v.path, quoted(e.key))
		}
		var until time.Time
		m.date(e.key, &until, 0)
		ends = append(ends, provisioner.SystemEnd{System: e.key, Until: until})
	}
	m.done()
	slices.SortFunc(ends, func(a, b provisioner.SystemEnd) int { return strings.Compare(a.System, b.System) })
	return ends
}
