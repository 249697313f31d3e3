package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Frame is what held as of a revision; one without contents only says how far
// the journal has come. It is one line of a file:
//
//	hdrj1 LENGTH CHECKSUM JSON
//
// with the length of the JSON in bytes and the CRC-32C of the line in front of
// the checksum and of the JSON, in 8 hexadecimal digits. JSON holds no line end,
// so that behind damage the next whole frame is found.
type Frame struct {
	Number   int64     `json:"n"` // rises by one within a file
	Instance string    `json:"instance"`
	Epoch    string    `json:"epoch"`
	AsOf     int64     `json:"as_of"` // the revision of what is said
	Upto     int64     `json:"upto"`  // every change up to it has been said, in this frame or before
	At       time.Time `json:"at"`
	// From is where the file begins to be without gaps in the epoch: in its
	// first frames, and after old ones were deleted. Zero: as before.
	From int64 `json:"from,omitempty"`
	// Whole says that with this frame everything has been said that was ever
	// taken in the epoch.
	Whole    bool      `json:"whole,omitempty"`
	Devices  []Device  `json:"devices,omitempty"`
	Gateways []Gateway `json:"gateways,omitempty"`
	Keys     []Key     `json:"keys,omitempty"`
	// Forgotten are people whom a restored backup would bring back.
	Forgotten []Forgotten `json:"forgotten,omitempty"`
}

// Forgotten is somebody who was forgotten in a tenant, by an id that leads to
// nobody.
type Forgotten struct {
	Person string `json:"person"`
	Tenant string `json:"tenant"`
}

// Device is how a device stood.
type Device struct {
	ID           string                         `json:"id"`
	Tenant       string                         `json:"tenant"`
	Person       string                         `json:"person"` // id
	SerialNumber string                         `json:"serial,omitempty"`
	Generation   int64                          `json:"generation"`
	PublicKey    []byte                         `json:"key"`
	Revoked      bool                           `json:"revoked,omitempty"`
	Suspended    []provisioner.SuspensionSource `json:"suspended,omitempty"`
}

// Gateway is how a gateway stood.
type Gateway struct {
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	PublicKey  []byte `json:"key"`
}

// Key is a key of the control plane. Without those that were made after a
// backup, the certificates that they signed would be foreign.
type Key struct {
	Purpose string         `json:"purpose"`
	Version int64          `json:"version"`
	Sealed  []byte         `json:"sealed,omitempty"`
	Public  []byte         `json:"public,omitempty"`
	Bridge  []byte         `json:"bridge,omitempty"`
	Stage   store.KeyStage `json:"stage"`
	StageAt time.Time      `json:"stage_at"`
	Created time.Time      `json:"created"`
}

// isEmpty says that a frame is dispensable once another one follows.
func (f Frame) isEmpty() bool {
	return len(f.Devices)+len(f.Gateways)+len(f.Keys)+len(f.Forgotten) == 0 && !f.Whole && f.From == 0
}

const (
	mark = "hdrj1 "
	// lineLimit is far more than a frame has: a page of devices.
	lineLimit = 16 << 20
)

func encode(f Frame) ([]byte, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encoding a frame: %w", err)
	}
	line := fmt.Appendf(nil, "%s%d ", mark, len(text))
	line = fmt.Appendf(line, "%08x ", checksum(line, text))
	return append(append(line, text...), '\n'), nil
}

func checksum(front, text []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // made once, by crc32
	return crc32.Update(crc32.Checksum(front, castagnoli), castagnoli, text)
}

var errLine = errors.New("no whole frame")

// decode reads one line, without its end.
func decode(line []byte) (f Frame, err error) {
	rest, ok := bytes.CutPrefix(line, []byte(mark))
	if !ok {
		return f, errLine
	}
	length, rest, _ := bytes.Cut(rest, []byte(" "))
	sum, text, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.Atoi(string(length))
	if err != nil || n != len(text) {
		return f, errLine
	}
	front := line[:len(mark)+len(length)+1]
	if want, err := strconv.ParseUint(string(sum), 16, 32); err != nil || uint32(want) != checksum(front, text) {
		return f, errLine
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%w: %w", errLine, err)
	}
	return f, nil
}
