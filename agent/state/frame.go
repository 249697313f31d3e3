package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// A journal is a header and frames; a frame is what one Append wrote:
//
//	length    uint32, little endian: of the payload
//	checksum  uint32: CRC-32C of length, number and payload
//	number    uint64: 1 for the first, rising by one
//	payload   records, each after its length as an unsigned varint
//
// The checksum covers the length, so that zeros, which some file systems leave
// after a power loss, are no frame.
const (
	// The eighth byte is the version of the format.
	journalHeader = "hdrjrnl\x01"
	frameHeader   = 16
	// maxFrame bounds what one Append takes.
	maxFrame = 64 << 20
	// compactFrame is how much a compaction gathers in one frame.
	compactFrame = 256 << 10
)

func encodeFrame(number uint64, records [][]byte) ([]byte, error) {
	frame := make([]byte, frameHeader)
	for _, r := range records {
		frame = binary.AppendUvarint(frame, uint64(len(r)))
		frame = append(frame, r...)
	}
	length := len(frame) - frameHeader
	if length > maxFrame {
		return nil, fmt.Errorf("%d bytes are more than the %d that one frame holds", length, maxFrame)
	}
	binary.LittleEndian.PutUint32(frame[0:], uint32(length))
	binary.LittleEndian.PutUint64(frame[8:], number)
	binary.LittleEndian.PutUint32(frame[4:], checksum(frame[0:4], frame[8:]))
	return frame, nil
}

func writeFrames(w io.Writer, records iter.Seq[[]byte]) error {
	if _, err := io.WriteString(w, journalHeader); err != nil {
		return err
	}
	number := uint64(1)
	var batch [][]byte
	var size int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		frame, err := encodeFrame(number, batch)
		if err != nil {
			return err
		}
		number++
		batch, size = batch[:0], 0
		_, err = w.Write(frame)
		return err
	}
	for r := range records {
		batch, size = append(batch, r), size+len(r)
		if size >= compactFrame {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// readFrames hands every record to replay and tells where the frames end and
// which number comes next.
func readFrames(r io.ReaderAt, size int64, replay func([]byte) error) (end int64, next uint64, err error) {
	header := make([]byte, len(journalHeader))
	if n, err := r.ReadAt(header, 0); n < len(header) {
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		return 0, 0, fmt.Errorf("it is %w: its header is cut short", ErrDamaged)
	}
	switch version := len(header) - 1; {
	case string(header[:version]) != journalHeader[:version]:
		return 0, 0, fmt.Errorf("it is %w: its header is not a journal's", ErrDamaged)
	case header[version] != journalHeader[version]:
		return 0, 0, fmt.Errorf("it was %w (format %d, this one reads %d)", ErrOtherVersion, header[version], journalHeader[version])
	}
	end, next = int64(len(header)), 1
	for end < size {
		payload, err := readFrame(r, end, size, next)
		if err != nil {
			return end, next, err
		}
		if payload == nil {
			return end, next, soundTail(r, end, size, next)
		}
		if err := splitRecords(payload, replay); err != nil {
			return end, next, err
		}
		end += frameHeader + int64(len(payload))
		next++
	}
	return end, next, nil
}

// readFrame reads the frame at a place. No payload means that there is no
// whole frame of that number; a payload is never empty otherwise.
func readFrame(r io.ReaderAt, at, size int64, number uint64) ([]byte, error) {
	var header [frameHeader]byte
	if size-at < frameHeader {
		return nil, nil
	}
	if _, err := r.ReadAt(header[:], at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(header[0:]))
	if length == 0 || length > min(maxFrame, size-at-frameHeader) || binary.LittleEndian.Uint64(header[8:]) != number {
		return nil, nil
	}
	payload := make([]byte, length)
	if _, err := r.ReadAt(payload, at+frameHeader); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if checksum(header[0:4], header[8:], payload) != binary.LittleEndian.Uint32(header[4:]) {
		return nil, nil
	}
	return payload, nil
}

func splitRecords(payload []byte, replay func([]byte) error) error {
	for len(payload) > 0 {
		length, n := binary.Uvarint(payload)
		if n <= 0 || length > uint64(len(payload)-n) {
			return fmt.Errorf("it is %w: a frame does not divide into records", ErrDamaged)
		}
		record := payload[n : n+int(length) : n+int(length)]
		if err := replay(record); err != nil {
			return fmt.Errorf("replaying a record: %w", err)
		}
		payload = payload[n+int(length):]
	}
	return nil
}

// soundTail tells an interrupted Append from damage. Every frame was forced to
// disk before the next one was begun, so only the last one can be incomplete:
// a whole later frame behind what cannot be read says that something was lost
// that had been answered as kept.
func soundTail(r io.ReaderAt, at, size int64, number uint64) error {
	rest := make([]byte, size-at)
	if _, err := r.ReadAt(rest, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i := 1; i+frameHeader < len(rest); i++ {
		// A frame at i can have no higher number than there is room for frames.
		later := binary.LittleEndian.Uint64(rest[i+8:])
		if later <= number || later > number+uint64(i)/frameHeader+1 {
			continue
		}
		payload, err := readFrame(r, at+int64(i), size, later)
		if err != nil {
			return err
		}
		if payload != nil {
			return fmt.Errorf("it is %w at byte %d: whole records follow", ErrDamaged, at)
		}
	}
	return nil
}
