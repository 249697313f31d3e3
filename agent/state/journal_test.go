package state_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/state"
)

func none(func([]byte) bool) {}

func records(list ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, r := range list {
			if !yield([]byte(r)) {
				return
			}
		}
	}
}

// Whatever is appended, compacted and opened again, the journal replays what a
// plain list holds.
func TestJournalAgainstModel(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	var n int
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := "j" + strconv.Itoa(n)
		var model []string
		j, _ := openJournal(rt, d, name)
		record := rapid.StringN(0, 50, 200)
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				batch := rapid.SliceOfN(record, 0, 4).Draw(rt, "batch")
				if err := j.Append(bytesOf(batch)...); err != nil {
					rt.Fatal(err)
				}
				model = append(model, batch...)
			},
			"compact": func(rt *rapid.T) {
				model = rapid.SliceOfN(record, 0, 4).Draw(rt, "records")
				if err := j.Compact(records(model...)); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(rt *rapid.T) {
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				var got []string
				j, got = openJournal(rt, d, name)
				if !slices.Equal(got, model) {
					rt.Fatalf("replayed %q, want %q", got, model)
				}
			},
		})
		if err := j.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// However short a kill or a power loss leaves the file, and whatever it leaves
// of the last write, every earlier batch is there, none in part, and the
// journal goes on.
func TestJournalCutAtEveryByte(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	batches := [][]string{{"one"}, {"two", "", "three"}, {strings.Repeat("four ", 20)}, {"five", "six"}}
	whole, ends := write(t, d, "whole", batches)
	path := filepath.Join(d.Path(), "cut.journal")

	for cut := ends[0]; cut <= len(whole); cut++ {
		var want []string
		kept := ends[0]
		for i, end := range ends[1:] {
			if end <= cut {
				want, kept = append(want, batches[i]...), end
			}
		}
		next := len(whole)
		if i := slices.IndexFunc(ends, func(end int) bool { return end > cut }); i >= 0 {
			next = ends[i] // where the interrupted write would have ended
		}
		holed := slices.Concat(whole[:kept], make([]byte, cut-kept), whole[cut:next])
		for what, content := range map[string][]byte{
			"cut":                   whole[:cut],
			"then zeros":            slices.Concat(whole[:cut], make([]byte, next-cut)),
			"then zeros far beyond": slices.Concat(whole[:cut], make([]byte, 4096)),
			"zeros, then the rest":  holed,
			"then what lay there":   slices.Concat(whole[:cut], bytes.Repeat([]byte("left "), 30)),
		} {
			if what == "zeros, then the rest" && cut == kept {
				continue // that is no hole
			}
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			j, got := openJournal(t, d, "cut")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s at %d (-want +got):\n%s", what, cut, diff)
			}
			if info, err := os.Stat(path); err != nil || info.Size() != j.Size() {
				t.Fatalf("%s at %d: %d bytes in the file, %d in the journal, %v", what, cut, info.Size(), j.Size(), err)
			}
			if err := errors.Join(j.Append([]byte("after")), j.Close()); err != nil {
				t.Fatal(err)
			}
			j, got = openJournal(t, d, "cut")
			if diff := cmp.Diff(append(want, "after"), got); diff != "" {
				t.Fatalf("%s at %d, gone on (-want +got):\n%s", what, cut, diff)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A changed byte before the last batch is no interrupted write: later batches
// were answered as kept, and must not vanish in silence.
func TestJournalDamagedInTheMiddle(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	whole, ends := write(t, d, "whole", [][]string{{"one"}, {"two"}, {"three"}})
	path := filepath.Join(d.Path(), "bad.journal")
	for at := range ends[2] {
		want := state.ErrDamaged
		if at == ends[0]-1 {
			want = state.ErrOtherVersion
		}
		content := slices.Clone(whole)
		content[at] ^= 0x10
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.OpenJournal("bad", func([]byte) error { return nil }); !errors.Is(err, want) {
			t.Errorf("byte %d changed: error %v, want %v", at, err, want)
		}
	}
	for cut := range ends[0] {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.OpenJournal("bad", func([]byte) error { return nil }); !errors.Is(err, state.ErrDamaged) {
			t.Errorf("header cut at %d: error %v", cut, err)
		}
	}

	for range 2 {
		if err := d.SetAside("bad"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
	if got := journal(t, d, "bad", nil).Size(); got != int64(ends[0]) {
		t.Errorf("a new journal has %d bytes, want %d", got, ends[0])
	}
}

func TestJournalReplayError(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	write(t, d, "j", [][]string{{"one"}})
	why := errors.New("cannot read this")
	if _, err := d.OpenJournal("j", func([]byte) error { return why }); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestJournalCompactShrinks(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	j := journal(t, d, "j", nil)
	for range 50 {
		if err := j.Append(bytes.Repeat([]byte("x"), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	before := j.Size()
	big := strings.Repeat("y", 200<<10) // more than one frame in all
	if err := j.Compact(records("a", big, big, "b")); err != nil {
		t.Fatal(err)
	}
	if err := j.Compact(records("a", "b")); err != nil {
		t.Fatal(err)
	}
	if before < 50_000 || j.Size() > 100 {
		t.Errorf("sizes %d, %d", before, j.Size())
	}
}

func TestJournalClosed(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	j := journal(t, d, "j", nil)
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Compact(none); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("compact: %v", err)
	}
}

// A real process is killed while it appends and compacts: everything it has
// answered is there.
func TestJournalSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if os.Getenv("STATE_TEST_DIR") != "" {
		appendUntilKilled(t)
		return
	}
	expected := 0
	for round := range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestJournalSurvivesKill$", "-test.count=1")
		cmd.Env = append(os.Environ(), "STATE_TEST_DIR="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			expected = n
			if n%10 == 0 && n >= (round+1)*30 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		d, err := state.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		j, got := openJournal(t, d, "j")
		if err := errors.Join(j.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		if last := highest(t, got); last < expected || last > expected+1 {
			t.Fatalf("round %d: the journal knows of %d, answered was %d", round, last, expected)
		}
	}
}

// appendUntilKilled counts on from what the journal holds, and says each
// number once it is kept.
func appendUntilKilled(t *testing.T) {
	d := open(t, os.Getenv("STATE_TEST_DIR"))
	j, got := openJournal(t, d, "j")
	for n := highest(t, got) + 1; ; n++ {
		record := strconv.Itoa(n)
		err := j.Append([]byte(record))
		if n%7 == 0 {
			err = errors.Join(err, j.Compact(records(record)))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(os.Stdout, n); err != nil {
			t.Fatal(err)
		}
	}
}

func highest(t *testing.T, list []string) int {
	t.Helper()
	if len(list) == 0 {
		return 0
	}
	n, err := strconv.Atoi(list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// write makes a journal of these batches, and tells its content and where the
// header and each batch end.
func write(t *testing.T, d *state.Dir, name string, batches [][]string) (content []byte, ends []int) {
	t.Helper()
	j, _ := openJournal(t, d, name)
	ends = append(ends, int(j.Size()))
	for _, b := range batches {
		if err := j.Append(bytesOf(b)...); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(j.Size()))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(d.Path(), name+".journal"))
	if err != nil {
		t.Fatal(err)
	}
	return content, ends
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func openJournal(t fataler, d *state.Dir, name string) (*state.Journal, []string) {
	t.Helper()
	var got []string
	j, err := d.OpenJournal(name, func(r []byte) error {
		got = append(got, string(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, got
}

func journal(t *testing.T, d *state.Dir, name string, replay func([]byte) error) *state.Journal {
	t.Helper()
	j, err := d.OpenJournal(name, replay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func bytesOf(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, r := range list {
		out[i] = []byte(r)
	}
	return out
}

func BenchmarkAppend(b *testing.B) {
	d, err := state.Open(filepath.Join(b.TempDir(), "state"))
	if err != nil {
		b.Fatal(err)
	}
	j, err := d.OpenJournal("j", nil)
	if err != nil {
		b.Fatal(err)
	}
	record := make([]byte, 150) // about a peer
	for b.Loop() {
		if err := j.Append(record); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(j.Close(), d.Close()); err != nil {
		b.Fatal(err)
	}
}
