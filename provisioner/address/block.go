package address

import "math/bits"

// Block is one block of an aggregate: a bit an address, set if it is taken or
// reserved. The zero Block is one of which everything is free, which is right
// for no first block: Aggregate.NewBlock makes them.
type Block uint64

// NewBlock is a block nobody has anything of yet. Its reserved addresses, and
// all of a block outside of the aggregate, are set.
func (a Aggregate) NewBlock(number int) Block {
	var b Block
	for offset := range BlockSize {
		if number < 0 || a.reserved(int64(number)*BlockSize+int64(offset)) {
			b |= 1 << offset
		}
	}
	return b
}

// Take takes an address: the former one if it is free, else the lowest that
// is. A former outside of 0 to 63 means none. It gives the address's place
// within the block, and false if the block is full.
func (b *Block) Take(former int) (offset int, ok bool) {
	if former >= 0 && former < BlockSize && !b.Has(former) {
		*b |= 1 << former
		return former, true
	}
	if b.Full() {
		return 0, false
	}
	offset = bits.TrailingZeros64(^uint64(*b))
	*b |= 1 << offset
	return offset, true
}

// Release frees an address. Idempotent. Only what Take gave may be released: a
// block does not know which of its bits are reserved.
func (b *Block) Release(offset int) {
	if offset >= 0 && offset < BlockSize {
		*b &^= 1 << offset
	}
}

// Has reports whether an address is taken or reserved. Places outside of the
// block are.
func (b Block) Has(offset int) bool {
	return offset < 0 || offset >= BlockSize || b&(1<<offset) != 0
}

// Full reports whether nothing is free.
func (b Block) Full() bool { return ^b == 0 }

// Taken is how many addresses are taken or reserved.
func (b Block) Taken() int { return bits.OnesCount64(uint64(b)) }
