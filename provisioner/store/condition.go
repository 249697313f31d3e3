package store

import "github.com/heimdraht/heimdraht/provisioner"

// Answered is how many of a tenant's laptops answered the same of what it asks.
type Answered struct {
	Conditions []provisioner.ConditionState
	Devices    int64
}

// ConditionsAnswered counts a tenant's laptops, revoked ones and static peers left out, by
// what they answered last. It reads each of them, for somebody who asks once in a while.
func (r *Reader) ConditionsAnswered(tenant string) ([]Answered, error) {
	return all(r.q, func(s scanner) (a Answered, err error) {
		var text string
		err = s.Scan(&text, &a.Devices)
		a.Conditions = provisioner.ParseConditions(text)
		return a, err
	}, `select conditions, count(*) from device where tenant = $1 and revoked_at = 0 and static_until = 0 group by conditions`, tenant)
}
