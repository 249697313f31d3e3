package capacity

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrPacked is wrapped by the error for a text that Pack did not write.
var ErrPacked = errors.New("not packed numbers")

const (
	// packedVersion is the first byte; another version is unpacked in another way.
	packedVersion = 1
	// mostPacked is more rows than any text has: 500 tenants, 600 pools, and what they hold of each other.
	mostPacked = 1 << 16
	// mostColumns is more columns than there are.
	mostColumns = 64
)

// How a column is packed.
const (
	allZero   = iota
	allSame   // one number
	different // the difference to the one before, of each
)

// Pack writes rows of numbers as text: a key for each row, in ascending order, and
// columns of one length. Columns that are all zero, as of pools at night, take a byte.
func Pack(keys []int64, columns [][]int64) string {
	b := []byte{packedVersion}
	b = binary.AppendUvarint(b, uint64(len(keys)))
	b = binary.AppendUvarint(b, uint64(len(columns)))
	for _, column := range append([][]int64{keys}, columns...) {
		b = appendColumn(b, column)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func appendColumn(b []byte, column []int64) []byte {
	form := byte(allSame)
	for _, n := range column {
		if n != column[0] {
			form = different
			break
		}
	}
	if len(column) == 0 || form == allSame && column[0] == 0 {
		return append(b, allZero)
	}
	b = append(b, form)
	if form == allSame {
		return binary.AppendVarint(b, column[0])
	}
	before := int64(0)
	for _, n := range column {
		b = binary.AppendVarint(b, n-before)
		before = n
	}
	return b
}

// Unpack reads what Pack wrote. Errors wrap ErrPacked.
func Unpack(text string) (keys []int64, columns [][]int64, err error) {
	return new(Unpacker).unpack(text)
}

// Unpacker reads one text after the other into the same room: a year of many series has
// thousands. What it gave is overwritten by the next text.
type Unpacker struct {
	text, b []byte
	numbers []int64
	columns [][]int64
	list    []Interval
}

func (p *Unpacker) unpack(text string) (keys []int64, columns [][]int64, err error) {
	p.text = append(p.text[:0], text...)
	if p.b, err = base64.RawStdEncoding.AppendDecode(p.b[:0], p.text); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPacked, err)
	}
	b := p.b
	if len(b) == 0 || b[0] != packedVersion {
		return nil, nil, fmt.Errorf("%w: of an unknown version", ErrPacked)
	}
	u := &unpacking{rest: b[1:]}
	rows, wide := u.uvarint(mostPacked), u.uvarint(mostColumns)
	if rows*wide > 64*uint64(len(b))+1<<20 { // nothing that was packed is that small
		return nil, nil, fmt.Errorf("%w: more numbers than it can hold", ErrPacked)
	}
	p.numbers = slices.Grow(p.numbers[:0], int(rows*(wide+1)))[:rows*(wide+1)]
	clear(p.numbers)
	numbers := p.numbers
	take := func() []int64 {
		column := numbers[:rows:rows]
		numbers = numbers[rows:]
		u.column(column)
		return column
	}
	keys = take()
	for i := 1; i < len(keys); i++ {
		if keys[i] <= keys[i-1] {
			return nil, nil, fmt.Errorf("%w: keys out of order", ErrPacked)
		}
	}
	p.columns = p.columns[:0]
	for range wide {
		p.columns = append(p.columns, take())
	}
	if u.bad || len(u.rest) > 0 {
		return nil, nil, fmt.Errorf("%w: cut off, or more than there should be", ErrPacked)
	}
	return keys, p.columns, nil
}

// unpacking reads numbers one after the other; bad says that one of them was none.
type unpacking struct {
	rest []byte
	bad  bool
}

func (u *unpacking) uvarint(most uint64) uint64 {
	n, size := binary.Uvarint(u.rest)
	if size <= 0 || n > most {
		u.bad = true
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

func (u *unpacking) varint() int64 {
	n, size := binary.Varint(u.rest)
	if size <= 0 {
		u.bad = true
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

// column reads into a list of zeros.
func (u *unpacking) column(list []int64) {
	if u.bad || len(u.rest) == 0 {
		u.bad = true
		return
	}
	form := u.rest[0]
	u.rest = u.rest[1:]
	switch form {
	case allZero:
	case allSame:
		n := u.varint()
		for i := range list {
			list[i] = n
		}
	case different:
		before := int64(0)
		for i := range list {
			by := u.varint()
			if by > 0 && before > math.MaxInt64-by || by < 0 && before < math.MinInt64-by {
				u.bad = true
			}
			if u.bad {
				return
			}
			before += by
			list[i] = before
		}
	default:
		u.bad = true
	}
}

// PackIntervals packs intervals by key, which must ascend.
func PackIntervals(keys []int64, list []Interval) string {
	columns := make([][]int64, width)
	for i := range columns {
		columns[i] = make([]int64, len(list))
	}
	for row := range list {
		for i, n := range list[row].columns() {
			columns[i][row] = *n
		}
	}
	return Pack(keys, columns)
}

// UnpackIntervals reads what PackIntervals wrote. Errors wrap ErrPacked.
func UnpackIntervals(text string) (keys []int64, list []Interval, err error) {
	return new(Unpacker).Intervals(text)
}

// Intervals reads what PackIntervals wrote. Errors wrap ErrPacked.
func (p *Unpacker) Intervals(text string) (keys []int64, list []Interval, err error) {
	keys, columns, err := p.unpack(text)
	if err != nil {
		return nil, nil, err
	}
	if len(columns) != width {
		return nil, nil, fmt.Errorf("%w: %d columns, not %d", ErrPacked, len(columns), width)
	}
	for i, column := range columns {
		for _, n := range column {
			if n < 0 || n > largestPacked || i == 0 && n > 24*60 { // so that sums cannot run over
				return nil, nil, fmt.Errorf("%w: %d in column %d", ErrPacked, n, i)
			}
		}
	}
	p.list = slices.Grow(p.list[:0], len(keys))[:len(keys)]
	for row := range p.list {
		for i, n := range p.list[row].columns() { // which are all that an interval has
			*n = columns[i][row]
		}
	}
	return keys, p.list, nil
}

// largestPacked is more than any number is: a day's bytes at 100 Gbit/s.
const largestPacked = 1 << 53
