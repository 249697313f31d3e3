package store

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
)

const (
	fewestOfID  = 6 // of its beginning
	fewestOfKey = 8
)

// hit is somebody in a tenant, and by what she was found.
type hit struct {
	person, tenant string
	by             Match
}

// findExactly finds by what names one machine, session or person: an address,
// a key or an id, or enough of the beginning of a key or an id. enough tells that
// the query can be nothing else.
func (r *Reader) findExactly(scope provisioner.Scope, query string, limit int) (found []FoundPerson, enough bool, err error) {
	query = strings.TrimSpace(typed(query))
	if strings.ContainsAny(query, " \t") {
		return nil, false, nil
	}
	var hits []hit
	if addr, ok := addressTyped(query); ok {
		enough = true
		hits, err = r.hitsOfAddress(scope, addr)
	} else if key, ok := keyTyped(query); ok {
		enough = true
		hits, err = r.hitsOfKeys(scope, key.String(), key.String(), limit)
	} else {
		hits, err = r.hitsOfBeginning(scope, query, limit)
	}
	if err != nil {
		return nil, false, err
	}
	for _, h := range hits {
		f, err := r.foundBy(h)
		if err != nil {
			return nil, false, err
		}
		if !slices.ContainsFunc(found, f.is) {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(x, y FoundPerson) int {
		return cmp.Or(cmp.Compare(min(y.Devices, 1), min(x.Devices, 1)), cmp.Compare(x.Person.DisplayName, y.Person.DisplayName),
			cmp.Compare(x.Person.ID, y.Person.ID), cmp.Compare(x.Tenant, y.Tenant))
	})
	return found, enough, nil
}

// foundBy reads who was hit.
func (r *Reader) foundBy(h hit) (FoundPerson, error) {
	f, err := one(r.q, scanFound, selectFound()+`where p.id = $1 and s.tenant = $2`, h.person, h.tenant)
	f.MatchedBy = h.by
	return f, err
}

// addressTyped reads an address as people copy it: with the length of a prefix,
// a port, brackets or a zone.
func addressTyped(s string) (netip.Addr, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr().Unmap(), true
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// keyTyped reads a WireGuard key in base64 or hex.
func keyTyped(s string) (key provisioner.Key, ok bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if len(s) == hex.EncodedLen(len(key)) {
		b, err = hex.DecodeString(s)
	}
	if err == nil {
		key, err = provisioner.ParseKey(b)
	}
	return key, err == nil
}

func (r *Reader) hits(by Match, query string, values ...any) ([]hit, error) {
	return all(r.q, func(s scanner) (hit, error) { h := hit{by: by}; return h, s.Scan(&h.person, &h.tenant) }, query, values...)
}

// hitsOfAddress tells whose open session has an address of a gateway.
func (r *Reader) hitsOfAddress(scope provisioner.Scope, addr netip.Addr) (hits []hit, err error) {
	gateways, err := all(r.q, scanGateway, selectGateway+`order by g.name`)
	if err != nil {
		return nil, err
	}
	for _, g := range gateways {
		index, ok := address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}.Index(addr)
		if !ok {
			continue
		}
		a := new(args)
		list, err := r.hits(MatchAddress, `select s.person, s.tenant from session s join standing t on t.person = s.person and t.tenant = s.tenant
			where s.gateway = `+a.add(g.Name)+` and s.address_index = `+a.add(index)+` and s.closed_at = 0 and `+a.scope(scope, "s.tenant"), a.list...)
		if err != nil {
			return nil, err
		}
		hits = append(hits, list...)
	}
	return hits, nil
}

// hitsOfKeys tells whose devices have or had a key between two, in base64.
func (r *Reader) hitsOfKeys(scope provisioner.Scope, from, to string, limit int) ([]hit, error) {
	a := new(args)
	return r.hits(MatchKey, `select d.person, d.tenant from used_key k join device d on d.id = substr(k.owner, 8) -- behind 'device '
		join standing t on t.person = d.person and t.tenant = d.tenant
		where k.public_key >= `+a.add(from)+` and k.public_key <= `+a.add(to)+` and `+a.scope(scope, "d.tenant")+` order by k.public_key limit `+a.add(limit), a.list...)
}

// hitsOfBeginning tells whom a key or an id belongs to that begins so.
func (r *Reader) hitsOfBeginning(scope provisioner.Scope, query string, limit int) (hits []hit, err error) {
	if id := strings.ToLower(query); len(id) >= fewestOfID && strings.Trim(id, idLetters) == "" {
		for _, kind := range []struct {
			by               Match
			id, from, tenant string
		}{
			{MatchPersonID, "p.id", "select p.id, t.tenant from person p join standing t on t.person = p.id", "t.tenant"},
			{MatchDeviceID, "d.id", "select d.person, d.tenant from device d join standing t on t.person = d.person and t.tenant = d.tenant", "d.tenant"},
			{MatchSession, "s.id", "select s.person, s.tenant from session s join standing t on t.person = s.person and t.tenant = s.tenant", "s.tenant"},
		} {
			a := new(args)
			list, err := r.hits(kind.by, kind.from+` where `+kind.id+` >= `+a.add(id)+` and `+kind.id+` <= `+a.add(id+lastOfID)+
				` and `+a.scope(scope, kind.tenant)+` order by `+kind.id+` limit `+a.add(limit), a.list...)
			if err != nil {
				return nil, err
			}
			hits = append(hits, list...)
		}
	}
	if len(query) < fewestOfKey || strings.Trim(query, keyLetters) != "" {
		return hits, nil
	}
	keys, err := r.hitsOfKeys(scope, query, query+lastOfID, limit)
	return append(hits, keys...), err
}

// keyLetters are those of base64.
const keyLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// lastOfID comes behind whatever an id or a key goes on with.
const lastOfID = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
