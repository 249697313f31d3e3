package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// suffix of journals' files.
const suffix = ".journal"

// File is what one file says.
type File struct {
	Path   string
	Frames []Frame
	// Damage says what is wrong in the midst of it, where frames are missing or
	// cannot be read; empty: nothing.
	Damage []string

	end int64 // of the last whole frame: what follows was cut off
}

// Read reads a file. Damage is no error.
func Read(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{Path: path}, fmt.Errorf("reading the revocation journal: %w", err)
	}
	defer f.Close()
	read, err := readFrom(f)
	read.Path = path
	if err != nil {
		return read, fmt.Errorf("reading the revocation journal %s: %w", path, err)
	}
	return read, nil
}

func readFrom(r io.Reader) (read File, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	var at int64
	damaged := int64(-1) // where lines began that are no frames
	for {
		line, long, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return read, err
		}
		whole := err == nil
		size := int64(len(line)) + long
		var frame Frame
		bad := !whole || long > 0
		if !bad {
			var lost bool
			frame, lost, bad = within(bytes.TrimSuffix(line, []byte("\n")))
			if lost && damaged < 0 {
				damaged = at
			}
		}
		switch {
		case size == 0:
			return read, nil // what is bad at the end was cut off
		case bad:
			if damaged < 0 {
				damaged = at
			}
		default:
			read.take(frame, damaged)
			damaged = -1
			read.end = at + size
		}
		at += size
		if !whole {
			return read, nil
		}
	}
}

// within finds the frame that a line is, or ends with: where the end of the line
// before was lost, two are one. It tells if something was in front of it.
func within(line []byte) (f Frame, lost, bad bool) {
	for from := 0; ; {
		f, err := decode(line[from:])
		if err == nil {
			return f, from > 0, false
		}
		next := bytes.Index(line[min(from+1, len(line)):], []byte(mark))
		if next < 0 {
			return f, false, true
		}
		from += 1 + next
	}
}

// take adds a frame that follows on what cannot be read from a place on, or on
// the frame before.
func (f *File) take(frame Frame, damaged int64) {
	n := len(f.Frames)
	switch {
	case damaged >= 0:
		f.Damage = append(f.Damage, fmt.Sprintf("from byte %d on something cannot be read, and whole frames follow", damaged))
	case n > 0 && frame.Number != f.Frames[n-1].Number+1:
		f.Damage = append(f.Damage, fmt.Sprintf("frame %d is followed by %d: others are missing", f.Frames[n-1].Number, frame.Number))
	}
	f.Frames = append(f.Frames, frame)
}

// readLine reads a line with its end; of one that is too long it tells how much
// it left out.
func readLine(r *bufio.Reader) (line []byte, long int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) <= lineLimit {
			line = append(line, part...)
		} else {
			long += int64(len(part))
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

// ReadAll reads files, and all the journals in directories. A directory that
// holds none is no error, a place that is not there is.
func ReadAll(places []string) ([]File, error) {
	var files []File
	for _, place := range places {
		info, err := os.Stat(place)
		if err != nil {
			return nil, fmt.Errorf("looking for revocation journals: %w", err)
		}
		paths := []string{place}
		if info.IsDir() {
			if paths, err = inDir(place); err != nil {
				return nil, fmt.Errorf("looking for revocation journals: %w", err)
			}
		}
		for _, path := range paths {
			if slices.ContainsFunc(files, func(f File) bool { return f.Path == path }) {
				continue
			}
			read, err := Read(path)
			if err != nil {
				return nil, err
			}
			files = append(files, read)
		}
	}
	return files, nil
}

func inDir(dir string) (paths []string, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == suffix {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return paths, err
}
