package store

import (
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner/address"
)

// addressBlock is one row of address_block.
type addressBlock struct {
	number int64
	used   address.Block
}

func scanBlock(s scanner) (b addressBlock, err error) {
	var used int64
	err = s.Scan(&b.number, &used)
	b.used = address.Block(uint64(used)) // one bit an address, the sign is the last one
	return b, err
}

// ErrNoAddress says that a gateway's aggregate is used up.
var ErrNoAddress = errors.New("no address is free")

// TakeAddress takes an address of a tenant on a gateway: the device's former
// one if it is free, else any in the tenant's blocks, else the first of a new
// block.
func (w *Writer) TakeAddress(gateway, tenant, device string, aggregate address.Aggregate) (index int64, err error) {
	former, err := one(w.q, value[int64], `select address_index from former_address where device = $1 and gateway = $2`, device, gateway)
	if err != nil && !errors.Is(err, ErrNone) {
		return 0, err
	}
	if err == nil {
		block, err := one(w.q, scanBlock, `select block, used from address_block where gateway = $1 and block = $2 and tenant = $3`,
			gateway, former/address.BlockSize, tenant)
		if err != nil && !errors.Is(err, ErrNone) {
			return 0, err
		}
		if offset := int(former % address.BlockSize); err == nil && !block.used.Has(offset) {
			return w.takeFrom(gateway, block, offset)
		}
	}
	block, err := one(w.q, scanBlock, `select block, used from address_block where gateway = $1 and tenant = $2 and used <> -1 order by block limit 1`,
		gateway, tenant)
	if errors.Is(err, ErrNone) {
		block, err = w.newBlock(gateway, tenant, aggregate)
	}
	if err != nil {
		return 0, err
	}
	return w.takeFrom(gateway, block, -1)
}

func (w *Writer) takeFrom(gateway string, b addressBlock, want int) (int64, error) {
	offset, ok := b.used.Take(want)
	if !ok {
		return 0, ErrNoAddress
	}
	err := run(w.q, `update address_block set used = $1 where gateway = $2 and block = $3`, int64(b.used), gateway, b.number)
	return b.number*address.BlockSize + int64(offset), err
}

// newBlock gives the tenant the lowest block that nobody has.
func (w *Writer) newBlock(gateway, tenant string, aggregate address.Aggregate) (b addressBlock, err error) {
	// The lowest gap: either block 0, or one past a block whose successor is free.
	number, err := one(w.q, value[int64], `select case when not exists (select 1 from address_block where gateway = $1 and block = 0) then 0
		else (select min(a.block) + 1 from address_block a where a.gateway = $2
			and not exists (select 1 from address_block n where n.gateway = a.gateway and n.block = a.block + 1)) end`, gateway, gateway)
	if err != nil {
		return b, err
	}
	if number >= int64(aggregate.Blocks()) {
		return b, ErrNoAddress
	}
	b = addressBlock{number: number, used: aggregate.NewBlock(int(number))}
	return b, run(w.q, `insert into address_block (gateway, block, tenant, used) values ($1, $2, $3, $4)`,
		gateway, number, tenant, int64(b.used))
}

// FreeAddress gives an address back and remembers whose it was.
// A tenant keeps its blocks, so that addresses go on telling the tenant.
func (w *Writer) FreeAddress(gateway, device string, index int64) error {
	number, offset := index/address.BlockSize, int(index%address.BlockSize)
	block, err := one(w.q, scanBlock, `select block, used from address_block where gateway = $1 and block = $2`, gateway, number)
	if errors.Is(err, ErrNone) {
		return offTheBooks(fmt.Sprintf("address %d of %s", index, gateway))
	}
	if err != nil {
		return err
	}
	block.used.Release(offset)
	if err := run(w.q, `update address_block set used = $1 where gateway = $2 and block = $3`, int64(block.used), gateway, number); err != nil {
		return err
	}
	return run(w.q, `insert into former_address (device, gateway, address_index, used_at) values ($1, $2, $3, $4)
		on conflict (device, gateway) do update set address_index = excluded.address_index, used_at = excluded.used_at`,
		device, gateway, index, ms(w.Now))
}

// ForgetAddresses gives back all blocks of a gateway whose aggregate moves. No
// session may be open on it.
func (w *Writer) ForgetAddresses(gateway string) error {
	if err := run(w.q, `delete from address_block where gateway = $1`, gateway); err != nil {
		return err
	}
	return run(w.q, `delete from former_address where gateway = $1`, gateway)
}
