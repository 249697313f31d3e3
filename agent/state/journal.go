package state

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
)

const journalSuffix = ".journal"

// Journal is an append-only list of records. Safe for concurrent use.
type Journal struct {
	dir  *Dir
	name string
	path string

	mu     sync.Mutex
	closed bool
	file   *os.File // nil: it could not be opened again
	end    int64    // where the next frame goes
	next   uint64   // its number
	// broken is why nothing can be appended: after a failed write nobody knows
	// what is on disk. A compaction heals it.
	broken error
}

// OpenJournal opens a journal, makes it if it is not there, and hands every
// record to replay, oldest first. replay may keep the record; an error of it
// ends the opening.
//
// What an interrupted Append left is cut off. Damage of another kind is
// ErrDamaged: later records would be missing, so that a peer long removed
// would come back; the caller decides, and may SetAside the journal.
func (d *Dir) OpenJournal(name string, replay func(record []byte) error) (*Journal, error) {
	path, err := file(d.path, name, journalSuffix)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: d, name: name, path: path}
	err = j.open(replay)
	if errors.Is(err, fs.ErrNotExist) {
		if err = j.create(); err == nil {
			err = j.open(replay)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the journal %s: %w", path, err)
	}
	return j, nil
}

// create puts an empty journal in place, whole, so that a journal without its
// header is none that was interrupted in the making.
func (j *Journal) create() error {
	_, err := j.dir.replace(j.path, func(f *os.File) error {
		_, err := f.WriteString(journalHeader)
		return err
	})
	return err
}

func (j *Journal) open(replay func([]byte) error) error {
	f, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := j.use(f, replay); err != nil {
		f.Close()
		return err
	}
	return nil
}

func (j *Journal) use(f *os.File, replay func([]byte) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end, next, err := readFrames(f, info.Size(), replay)
	if err != nil {
		return err
	}
	if end < info.Size() {
		// Nothing stale may lie behind the end: what is looked for there is
		// damage.
		if err := f.Truncate(end); err != nil {
			return fmt.Errorf("cutting off an interrupted write: %w", err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("cutting off an interrupted write: %w", err)
		}
	}
	j.file, j.end, j.next = f, end, next
	return nil
}

// Append adds records, forced to disk when it returns: all of them, or after
// an error or a crash all or none. After an error every further Append fails
// until a Compact succeeds. Errors wrap ErrUnwritable.
func (j *Journal) Append(records ...[]byte) error {
	if len(records) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("appending to the journal %s: %w", j.name, fs.ErrClosed)
	}
	if j.broken != nil {
		return fmt.Errorf("appending to the journal %s, which failed before: %w", j.name, j.broken)
	}
	frame, err := encodeFrame(j.next, records)
	if err != nil {
		return fmt.Errorf("appending to the journal %s: %w", j.name, err)
	}
	if err := j.write(frame); err != nil {
		j.broken = unwritable(j.dir.path, err)
		return fmt.Errorf("appending to the journal %s: %w", j.name, j.broken)
	}
	j.end += int64(len(frame))
	j.next++
	return nil
}

func (j *Journal) write(frame []byte) error {
	if _, err := j.file.WriteAt(frame, j.end); err != nil {
		return err
	}
	return j.file.Sync()
}

// Compact puts these records in the place of all there are. On an error the
// records before are still there, or after a failure at the very end (which
// wraps ErrUnwritable and makes every Append fail) perhaps already the new
// ones. Records are not to be appended or the journal closed by the iterator.
func (j *Journal) Compact(records iter.Seq[[]byte]) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("compacting the journal %s: %w", j.name, fs.ErrClosed)
	}
	if err := j.compact(records); err != nil {
		return fmt.Errorf("compacting the journal %s: %w", j.name, err)
	}
	return nil
}

func (j *Journal) compact(records iter.Seq[[]byte]) error {
	// Windows lets nothing take the name of an open file. What was appended is
	// on disk already, so that closing can lose nothing.
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
	placed, err := j.dir.replace(j.path, func(f *os.File) error { return writeFrames(f, records) })
	// Reading it again also checks what everything later is built upon.
	if opening := j.open(func([]byte) error { return nil }); opening != nil {
		j.broken = errors.Join(err, opening)
		return j.broken
	}
	switch {
	case err == nil:
		j.broken = nil
	case placed:
		// Which of the two files a power loss would leave is unknown: what is
		// appended to one could be lost with it.
		j.broken = err
	}
	return err
}

// Size is the length of the journal in bytes: when it has grown well beyond
// what a compaction left, the next one is due.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// Close closes the journal. Idempotent; nothing can be appended afterwards.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if err != nil {
		return fmt.Errorf("closing the journal %s: %w", j.name, err)
	}
	return nil
}

// SetAside renames a journal that cannot be read, to NAME.damaged, for those
// who look into it later; one set aside before is replaced. Nothing is there
// afterwards, and the next OpenJournal starts anew.
func (d *Dir) SetAside(name string) error {
	path, err := file(d.path, name, journalSuffix)
	if err != nil {
		return err
	}
	if err := os.Rename(path, path+".damaged"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("setting the journal %s aside: %w", name, err)
	}
	return d.sync()
}
