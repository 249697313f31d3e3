package store

import (
	"errors"
	"fmt"
	"maps"

	"github.com/heimdraht/heimdraht/provisioner/address"
)

const selectBlock = `select gateway, block, tenant, used from address_block `

func scanBlock(s scanner) (b blockRow, err error) {
	var used int64
	err = s.Scan(&b.key.gateway, &b.key.number, &b.tenant, &used)
	b.used = address.Block(uint64(used)) // one bit an address, the sign is the last one
	return b, err
}

// ErrNoAddress says that a gateway's aggregate is used up.
var ErrNoAddress = errors.New("no address is free")

// TakeAddress takes an address of a tenant on a gateway: the device's former
// one if it is free, else any in the tenant's blocks, else the first of a new
// block.
func (w *Writer) TakeAddress(gateway, tenant, device string, aggregate address.Aggregate) (index int64, err error) {
	l := w.ledger()
	former, err := l.former(device)
	if err != nil {
		return 0, err
	}
	if index, ok := former.addresses[gateway]; ok {
		b, err := l.block(blockKey{gateway, index / address.BlockSize})
		if err != nil && !errors.Is(err, ErrNone) {
			return 0, err
		}
		if offset := int(index % address.BlockSize); err == nil && b.tenant == tenant && !b.used.Has(offset) {
			return l.take(b, offset)
		}
	}
	b, err := l.free(tenantOnGateway{gateway, tenant})
	if errors.Is(err, ErrNone) {
		b, err = l.newBlock(gateway, tenant, aggregate)
	}
	if err != nil {
		return 0, err
	}
	return l.take(b, -1)
}

// newBlock gives the tenant the lowest block that nobody has.
func (l *ledger) newBlock(gateway, tenant string, aggregate address.Aggregate) (*blockRow, error) {
	// The lowest gap: either block 0, or one past a block whose successor is free.
	number, err := one(l.pen, value[int64], `select case when not exists (select 1 from address_block where gateway = $1 and block = 0) then 0
		else (select min(a.block) + 1 from address_block a where a.gateway = $2
			and not exists (select 1 from address_block n where n.gateway = a.gateway and n.block = a.block + 1)) end`, gateway, gateway)
	if err != nil {
		return nil, err
	}
	if number >= int64(aggregate.Blocks()) {
		return nil, ErrNoAddress
	}
	b := blockRow{key: blockKey{gateway, number}, tenant: tenant, used: aggregate.NewBlock(int(number))}
	if err := l.pen.run(`insert into address_block (gateway, block, tenant, used) values ($1, $2, $3, $4)`,
		gateway, number, tenant, int64(b.used)); err != nil {
		return nil, err
	}
	return l.keepBlock(b), nil
}

// FreeAddress gives an address back and remembers whose it was.
// A tenant keeps its blocks, so that addresses go on telling the tenant.
func (w *Writer) FreeAddress(gateway, device string, index int64) error {
	l := w.ledger()
	b, err := l.block(blockKey{gateway, index / address.BlockSize})
	if errors.Is(err, ErrNone) {
		return offTheBooks(fmt.Sprintf("address %d of %s", index, gateway))
	}
	if err != nil {
		return err
	}
	used := b.used
	used.Release(int(index % address.BlockSize))
	l.setUsed(b, used)
	if former, ok := l.rows.formers[device]; ok {
		change(l, former)
		former.addresses = maps.Clone(former.addresses)
		former.add(formerAddress{device, gateway, index})
	}
	return l.pen.run(`insert into former_address (device, gateway, address_index, used_at) values ($1, $2, $3, $4)
		on conflict (device, gateway) do update set address_index = excluded.address_index, used_at = excluded.used_at`,
		device, gateway, index, ms(w.Now))
}

// AddressesTaken counts the addresses of a gateway that are not free, those that
// nobody can have included.
func (r *Reader) AddressesTaken(gateway string) (taken int64, err error) {
	blocks, err := all(r.q, scanBlock, selectBlock+`where gateway = $1`, gateway)
	for _, b := range blocks {
		taken += int64(b.used.Taken())
	}
	return taken, err
}

// ForgetAddresses gives back all blocks of a gateway whose aggregate moves. No
// session may be open on it.
func (w *Writer) ForgetAddresses(gateway string) error {
	if err := run(w.q, `delete from address_block where gateway = $1`, gateway); err != nil {
		return err
	}
	return run(w.q, `delete from former_address where gateway = $1`, gateway)
}
