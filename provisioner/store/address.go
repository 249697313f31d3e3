package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

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
	if index, ok := former.addresses[gateway]; ok && index != noAddress {
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
	// The day will do, and behind what came before, so that the last one is known:
	// the exact time would be the end of somebody's working day.
	today := ms(w.Now.Truncate(day))
	return l.pen.run(`insert into former_address (device, gateway, address_index, used_at)
		select $1, $2, $3, case when max(used_at) >= $4 then max(used_at) + 1 else $5 end from former_address where device = $6 and gateway <> $7
		on conflict (device, gateway) do update set address_index = excluded.address_index, used_at = excluded.used_at`,
		device, gateway, index, today, today, device, gateway)
}

const (
	day = 24 * time.Hour
	// noAddress stands in former_address where none is left to be given back.
	noAddress int64 = -1
)

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
	// On which day a device was there is still to be known.
	return run(w.q, `update former_address set address_index = $1 where gateway = $2`, noAddress, gateway)
}

// block gives a block of addresses; ErrNone if nobody has it.
func (l *ledger) block(k blockKey) (*blockRow, error) {
	if known, ok := l.rows.blocks[k]; ok {
		return known, nil
	}
	b, err := one(l.pen, scanBlock, selectBlock+`where gateway = $1 and block = $2`, k.gateway, k.number)
	if err != nil {
		return nil, err
	}
	return l.keepBlock(b), nil
}

// keepBlock keeps a block as it was read, unless it is known already.
func (l *ledger) keepBlock(b blockRow) *blockRow {
	if known, ok := l.rows.blocks[b.key]; ok {
		return known
	}
	r, rows, where := &b, l.rows, tenantOnGateway{b.key.gateway, b.tenant}
	rows.blocks[b.key] = r
	if !b.used.Full() {
		rows.partly[where] = append(rows.partly[where], r)
	}
	l.undoing = append(l.undoing, func() {
		delete(rows.blocks, b.key)
		rows.partly[where] = slices.DeleteFunc(rows.partly[where], func(other *blockRow) bool { return other == r })
	})
	return r
}

// free gives a block in which a tenant has an address free, the lowest known
// one; ErrNone if there is none.
func (l *ledger) free(where tenantOnGateway) (*blockRow, error) {
	var lowest *blockRow
	for _, b := range l.rows.partly[where] {
		if !b.used.Full() && (lowest == nil || b.key.number < lowest.key.number) {
			lowest = b
		}
	}
	if lowest != nil {
		return lowest, nil
	}
	if err := l.flush(); err != nil { // so that those used up here are seen to be full
		return nil, err
	}
	b, err := one(l.pen, scanBlock, selectBlock+`where gateway = $1 and tenant = $2 and used <> -1 order by block limit 1`, where.gateway, where.tenant)
	if err != nil {
		return nil, err
	}
	return l.keepBlock(b), nil
}

// take takes an address of a block: the one wanted if it is free, else another;
// ErrNoAddress if it is full.
func (l *ledger) take(b *blockRow, want int) (int64, error) {
	used := b.used
	offset, ok := used.Take(want)
	if !ok {
		return 0, ErrNoAddress
	}
	l.setUsed(b, used)
	return b.key.number*address.BlockSize + int64(offset), nil
}

func (l *ledger) setUsed(b *blockRow, used address.Block) {
	change(l, b)
	full := b.used.Full()
	b.used, b.dirty = used, true
	if where := (tenantOnGateway{b.key.gateway, b.tenant}); full && !used.Full() {
		l.rows.partly[where] = append(l.rows.partly[where], b)
	}
}
