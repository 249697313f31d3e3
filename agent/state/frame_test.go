package state

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Whatever a file holds, reading it ends, blames the file and nothing else, and
// what was accepted reads the same again once the tail is cut off.
func FuzzReadFrames(f *testing.F) {
	one, err := encodeFrame(1, [][]byte{[]byte("one"), {}})
	if err != nil {
		f.Fatal(err)
	}
	two, err := encodeFrame(2, [][]byte{bytes.Repeat([]byte("two"), 50)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add([]byte(journalHeader))
	f.Add(slices.Concat([]byte(journalHeader), one, two))
	f.Add(slices.Concat([]byte(journalHeader), one, two[:30]))
	f.Add(slices.Concat([]byte(journalHeader), make([]byte, 40), two))
	f.Add([]byte("hdrjrnl\x02"))
	f.Fuzz(func(t *testing.T, content []byte) {
		read := func(content []byte) (list [][]byte, end int64, err error) {
			end, _, err = readFrames(bytes.NewReader(content), int64(len(content)), func(r []byte) error {
				list = append(list, r)
				return nil
			})
			return list, end, err
		}
		list, end, err := read(content)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrOtherVersion) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, endAgain, err := read(content[:end])
		if err != nil || endAgain != end || !slices.EqualFunc(list, again, bytes.Equal) {
			t.Fatalf("read %q up to %d, then %q up to %d: %v", list, end, again, endAgain, err)
		}
	})
}

// A length that no file can hold must not be allocated before it is checked.
func TestHugeLength(t *testing.T) {
	content := append([]byte(journalHeader), bytes.Repeat([]byte{0xff}, frameHeader+10)...)
	allocated := testing.AllocsPerRun(1, func() {
		if _, _, err := readFrames(bytes.NewReader(content), int64(len(content)), nil); err != nil {
			t.Error(err)
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
	if _, err := encodeFrame(1, [][]byte{make([]byte, maxFrame)}); err == nil {
		t.Error("a frame too large to be read again was made")
	}
}

// After a write that failed, nobody knows what is on disk: nothing more is
// promised until a compaction has made a new file.
func TestFailedAppend(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, d)
	j, err := d.OpenJournal("j", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, j)
	if err := j.Append([]byte("one")); err != nil {
		t.Fatal(err)
	}

	readOnly, err := os.Open(j.path)
	if err != nil {
		t.Fatal(err)
	}
	good := j.file
	j.file = readOnly
	if err := j.Append([]byte("two")); !errors.Is(err, ErrUnwritable) {
		t.Fatalf("error %v", err)
	}
	j.file = good
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("three")); !errors.Is(err, ErrUnwritable) {
		t.Fatalf("went on after a failure: %v", err)
	}

	// A compaction that fails as well heals nothing.
	away := d.path + "-away"
	if err := os.Rename(d.path, away); err != nil {
		t.Fatal(err)
	}
	if err := j.Compact(slices.Values([][]byte{[]byte("one")})); err == nil {
		t.Fatal("compacted into nowhere")
	}
	if err := os.Rename(away, d.path); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("four")); !errors.Is(err, ErrUnwritable) {
		t.Fatalf("went on after a failure: %v", err)
	}

	if err := j.Compact(slices.Values([][]byte{[]byte("one")})); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("five")); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := d.OpenJournal("j", func(r []byte) error { got = append(got, string(r)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, again)
	if !slices.Equal(got, []string{"one", "five"}) {
		t.Errorf("kept %q", got)
	}
}

func closing(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
