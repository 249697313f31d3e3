package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Journal is a file that is written. One process writes one file; its methods
// are called by one goroutine.
type Journal struct {
	path string
	file *os.File
	next int64
}

// Open opens a file for writing, makes it if it is not there, and gives what it
// says. What an interrupted Append left is cut off. A damaged file is moved
// aside, as it is, and a new one begun: what the damaged one says is given
// nevertheless, with its Damage.
func Open(path string) (*Journal, File, error) {
	read, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, read, err
	}
	if len(read.Damage) > 0 {
		aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
		if err := os.Rename(path, aside); err != nil {
			return nil, read, fmt.Errorf("moving the damaged revocation journal aside: %w", err)
		}
		read.Path, read.end = aside, 0
	}
	j := &Journal{path: path, next: 1}
	if n := len(read.Frames); n > 0 {
		j.next = read.Frames[n-1].Number + 1
	}
	if err := j.open(read.end); err != nil {
		return nil, read, fmt.Errorf("opening the revocation journal %s: %w", path, err)
	}
	return j, read, nil
}

func (j *Journal) open(end int64) error {
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(end)
	if err == nil {
		_, err = f.Seek(end, 0)
	}
	if err := errors.Join(err, f.Sync(), syncDir(filepath.Dir(j.path))); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file = f
	return nil
}

// Append adds a frame and returns when it is on disk. After an error the journal
// must be closed and opened anew: nobody knows how much was written.
func (j *Journal) Append(f Frame) error {
	f.Number = j.next
	line, err := encode(f)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("writing the revocation journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("writing the revocation journal: %w", err)
	}
	j.next++
	return nil
}

// Prune deletes frames from before a time, and those without contents, but for
// the last one. Backups from before what is left cannot be held against this
// journal any more. The file is replaced whole or not at all; after an error
// the journal is to be closed and opened anew.
func (j *Journal) Prune(before time.Time) error {
	read, err := Read(j.path)
	if err != nil || len(read.Damage) > 0 || len(read.Frames) == 0 {
		return err
	}
	if err := j.replace(prune(read.Frames, before)); err != nil {
		return fmt.Errorf("deleting what is old in the revocation journal: %w", err)
	}
	return nil
}

func prune(frames []Frame, before time.Time) []Frame {
	last := len(frames) - 1
	old := 0
	for old < last && frames[old].At.Before(before) {
		old++
	}
	kept := slices.Clone(frames[old:])
	if old > 0 && kept[0].Epoch == frames[old-1].Epoch {
		// In its epoch, what was taken up to here is not said any more.
		kept[0].From = frames[old-1].AsOf
	}
	end := kept[len(kept)-1]
	kept = append(slices.DeleteFunc(kept[:len(kept)-1], Frame.isEmpty), end)
	for i := range kept {
		kept[i].Number = int64(i + 1)
	}
	return kept
}

func (j *Journal) replace(frames []Frame) error {
	f, err := os.CreateTemp(filepath.Dir(j.path), ".journal-*") // mode 0600
	if err != nil {
		return err
	}
	for i := 0; i < len(frames) && err == nil; i++ {
		var line []byte
		if line, err = encode(frames[i]); err == nil {
			_, err = f.Write(line)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	former := j.file
	j.file, j.next = f, int64(len(frames)+1) // goes on where the frames end
	return errors.Join(former.Close(), syncDir(filepath.Dir(j.path)))
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
