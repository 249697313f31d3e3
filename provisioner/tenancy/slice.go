package tenancy

import (
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

// sliceRows is about how many rows one transaction writes. It then takes a few
// milliseconds, as BenchmarkApply says, on both engines; the daily change of a few
// objects stays far below, and is one transaction.
const sliceRows = 150

// rows is about how many rows are written for a change, its record included.
func (v change) rows() int {
	switch now := v.now.(type) {
	case provisioner.Tenant:
		return 2 + different(v.was.(provisioner.Tenant).MailDomains, now.MailDomains)
	case provisioner.LicencePool:
		return 2 + different(v.was.(provisioner.LicencePool).Shares, now.Shares)
	case provisioner.Gateway:
		rows := 3 + different(v.was.(provisioner.Gateway).Tenants, now.Tenants)
		if v.moves() {
			rows += sliceRows // it forgets addresses, nobody knows how many
		}
		return rows
	}
	return 2
}

// retold counts the gateways that are told anew what a tenant's sessions may reach.
func (w world) retold(v change) (n int) {
	now, ok := v.now.(provisioner.Tenant)
	if !ok || v.isNew || now.SameAccess(v.was.(provisioner.Tenant)) {
		return 0
	}
	for _, g := range w.gateways {
		if slices.Contains(g.Tenants, now.Name) {
			n++
		}
	}
	return n
}

// different counts what is in one of two lists only.
func different[T comparable](a, b []T) int {
	in := make(map[T]int)
	for _, v := range a {
		in[v]++
	}
	for _, v := range b {
		in[v]--
	}
	n := 0
	for _, count := range in {
		if count != 0 {
			n++
		}
	}
	return n
}

// first gives how many changes the next transaction makes: as many as it has
// time for, and then so many more that what is stored after it could have been
// declared just so. So a domain or a network that goes from one tenant to
// another goes in one step, and whatever stands between two slices is as sound
// as before the first and after the last. All changes together are known to be.
func first(before world, changes []change) int {
	after := before.clone()
	rows := 0
	for i, v := range changes[:len(changes)-1] {
		after.put(v.now)
		rows += v.rows() + before.retold(v)
		if rows+changes[i+1].rows()+before.retold(changes[i+1]) <= sliceRows {
			continue
		}
		if after.check(changes[:i+1]) == nil {
			return i + 1
		}
		rows = 0 // looked at again after another slice's worth
	}
	return len(changes)
}
