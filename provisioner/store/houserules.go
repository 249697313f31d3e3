package store

import (
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// HouseRules completes a tenant's house rules with their texts.
func (r *Reader) HouseRules(t provisioner.Tenant) (provisioner.HouseRules, error) {
	h, err := one(r.q, func(s scanner) (h provisioner.HouseRules, err error) {
		err = s.Scan(&h.German, &h.English)
		return h, err
	}, `select german, english from house_rules where tenant = $1 and version = $2`, t.Name, t.HouseRules.Version)
	h.Version, h.Link = t.HouseRules.Version, t.HouseRules.Link
	return h, err
}

// keepHouseRules keeps the texts of a version, once. A tenant that was read from
// here has none: they are kept already.
func (w *Writer) keepHouseRules(t provisioner.Tenant) error {
	h := t.HouseRules
	if h.German == "" {
		return nil
	}
	return run(w.q, `insert into house_rules (tenant, version, german, english, declared_at) values ($1, $2, $3, $4, $5)
		on conflict (tenant, version) do nothing`, t.Name, h.Version, h.German, h.English, ms(w.Now))
}

// Acknowledged is the version of a tenant's house rules that somebody has
// acknowledged last, and when; empty: none.
func (r *Reader) Acknowledged(person, tenant string) (version string, when time.Time, err error) {
	type row struct {
		version string
		at      int64
	}
	v, err := one(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.version, &v.at); return v, err },
		`select version, acknowledged_at from acknowledgement where person = $1 and tenant = $2 order by acknowledged_at desc limit 1`, person, tenant)
	if errors.Is(err, ErrNone) {
		return "", time.Time{}, nil
	}
	return v.version, at(v.at), err
}

// Acknowledge keeps that somebody has acknowledged a version, on which device.
func (w *Writer) Acknowledge(person, tenant, version, device string) error {
	return run(w.q, `insert into acknowledgement (person, tenant, version, acknowledged_at, device) values ($1, $2, $3, $4, $5)
		on conflict (person, tenant, version) do update set acknowledged_at = excluded.acknowledged_at, device = excluded.device`,
		person, tenant, version, ms(w.Now), device)
}

// ForgetAcknowledgements deletes those given before t whose person has
// acknowledged another version in the tenant since.
func (w *Writer) ForgetAcknowledgements(t time.Time) error {
	return run(w.q, `delete from acknowledgement where acknowledged_at < $1 and exists (select 1 from acknowledgement later
		where later.person = acknowledgement.person and later.tenant = acknowledgement.tenant and later.acknowledged_at > acknowledgement.acknowledged_at)`, ms(t))
}
