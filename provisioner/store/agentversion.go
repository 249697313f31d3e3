package store

import "github.com/heimdraht/heimdraht/provisioner"

// AgentVersion is how many laptops of a tenant said a version last.
type AgentVersion struct {
	Tenant, Version string
	Laptops         int64
}

// AgentVersions counts the laptops in scope that are not revoked.
func (r *Reader) AgentVersions(scope provisioner.Scope) ([]AgentVersion, error) {
	a := new(args)
	return all(r.q, func(s scanner) (v AgentVersion, err error) {
		err = s.Scan(&v.Tenant, &v.Version, &v.Laptops)
		return v, err
	}, `select tenant, agent_version, count(*) from device where revoked_at = 0 and static_until = 0 and `+a.scope(scope, "tenant")+
		` group by tenant, agent_version`, a.list...)
}
