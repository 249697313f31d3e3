package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func opened(t *testing.T, path string) (*Journal, File) {
	t.Helper()
	j, read, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, read
}

func taken(n int64, devices ...Device) Frame {
	return Frame{Instance: "i", Epoch: "e", AsOf: n, Upto: n, At: time.Unix(1_800_000_000+n, 0).UTC(), Devices: devices}
}

func written(t *testing.T, frames ...Frame) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.journal")
	j, _ := opened(t, path)
	for _, f := range frames {
		if err := j.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Wherever a write was interrupted, what was whole before it is read, nothing
// is called damage, and the next frame follows on it.
func TestAnInterruptedWriteIsCutOff(t *testing.T) {
	path := written(t, taken(1, Device{ID: "a", Revoked: true}), taken(2, Device{ID: "b"}))
	whole := content(t, path)
	first := bytes.IndexByte(whole, '\n') + 1
	for end := range whole {
		if err := os.WriteFile(path, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		if end >= first {
			want = 1
		}
		j, read := opened(t, path)
		if len(read.Frames) != want || len(read.Damage) > 0 {
			t.Fatalf("cut at %d: %d frames, damage %v", end, len(read.Frames), read.Damage)
		}
		if err := j.Append(taken(3)); err != nil {
			t.Fatal(err)
		}
		if again, err := Read(path); err != nil || len(again.Frames) != want+1 || len(again.Damage) > 0 || again.Frames[want].Number != int64(want+1) {
			t.Fatalf("cut at %d and gone on: %+v, %v", end, again, err)
		}
		_ = j.Close()
	}
}

// Whatever byte is changed in front of other frames is noticed, and the frames
// around it are read.
func TestDamageInTheMidstIsSaid(t *testing.T) {
	path := written(t, taken(1, Device{ID: "a"}), taken(2, Device{ID: "b"}), taken(3, Device{ID: "c"}))
	whole := content(t, path)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for at := len(lines[0]); at < len(lines[0])+len(lines[1]); at++ {
		bad := bytes.Clone(whole)
		bad[at] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := Read(path)
		if err != nil || len(read.Damage) == 0 || len(read.Frames) < 1 || read.Frames[0].AsOf != 1 {
			t.Fatalf("byte %d changed: %+v, %v", at, read, err)
		}
	}
	missing := append(bytes.Clone(lines[0]), lines[2]...)
	if err := os.WriteFile(path, missing, 0o600); err != nil {
		t.Fatal(err)
	}
	if read, err := Read(path); err != nil || len(read.Damage) != 1 || !strings.Contains(read.Damage[0], "missing") {
		t.Errorf("a line taken out: %+v, %v", read, err)
	}
	// Whoever opens it for writing gets a new one, and the old one stays.
	_, read := opened(t, path)
	if len(content(t, path)) != 0 || !bytes.Equal(content(t, read.Path), missing) || len(read.Damage) != 1 {
		t.Errorf("opened a damaged one: %+v", read)
	}
}

func TestPrune(t *testing.T) {
	path := written(t, taken(1, Device{ID: "a"}), taken(2, Device{ID: "b"}), taken(3), taken(4, Device{ID: "c"}), taken(5))
	j, _ := opened(t, path)
	if err := j.Prune(taken(2).At); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(taken(6)); err != nil {
		t.Fatal(err)
	}
	read, err := Read(path)
	if err != nil || len(read.Damage) > 0 {
		t.Fatal(read.Damage, err)
	}
	var got []int64
	for _, f := range read.Frames {
		got = append(got, f.AsOf)
	}
	if diff := cmp.Diff([]int64{2, 4, 5, 6}, got); diff != "" {
		t.Error(diff)
	}
	if read.Frames[0].From != 1 {
		t.Errorf("it is without gaps from %d", read.Frames[0].From)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestSince(t *testing.T) {
	whole := taken(10, Device{ID: "a", Generation: 1, Revoked: true})
	whole.Whole = true
	desk := []provisioner.SuspensionSource{provisioner.SuspendedByHelpdesk}
	other := func(epoch string, f Frame) Frame { f.Epoch = epoch; return f }
	foreign := taken(11)
	foreign.Instance = "j"
	key := func(stage store.KeyStage) Frame {
		f := taken(5)
		f.Keys = []Key{{Purpose: "ca", Version: 1, Stage: stage}}
		return f
	}
	for _, c := range []struct {
		name   string
		known  map[string]int64
		files  [][]Frame
		want   []Device
		keys   []Key
		doubts string // part of the only one; empty: there must be none
	}{
		{name: "after the backup", files: [][]Frame{{whole, taken(21, Device{ID: "b", Generation: 1, Revoked: true})}}, want: []Device{{ID: "b", Generation: 1, Revoked: true}}},
		{name: "before the backup", files: [][]Frame{{whole, taken(20, Device{ID: "b", Revoked: true})}}},
		{
			name: "suspended and given back", files: [][]Frame{{whole, taken(21, Device{ID: "b", Suspended: desk}), taken(22, Device{ID: "b"})}},
			want: []Device{{ID: "b"}},
		},
		{
			name: "given back and suspended", files: [][]Frame{{whole, taken(21, Device{ID: "b"}), taken(22, Device{ID: "b", Suspended: desk})}},
			want: []Device{{ID: "b", Suspended: desk}},
		},
		{
			name:  "of two replicas the one that saw more",
			files: [][]Frame{{whole, taken(22, Device{ID: "b", Suspended: desk})}, {whole, taken(21, Device{ID: "b"})}},
			want:  []Device{{ID: "b", Suspended: desk}},
		},
		{
			name: "revoked is for good", files: [][]Frame{{whole, taken(21, Device{ID: "b", Revoked: true}), taken(22, Device{ID: "b"})}},
			want: []Device{{ID: "b", Revoked: true}},
		},
		{
			name:  "the newest keys",
			files: [][]Frame{{whole, taken(22, Device{ID: "b", Generation: 3, PublicKey: []byte("3")}), taken(21, Device{ID: "b", Generation: 2, PublicKey: []byte("2")})}},
			want:  []Device{{ID: "b", Generation: 3, PublicKey: []byte("3")}},
		},
		{
			name:  "an epoch that came of the backup", // restored once already, and now again
			files: [][]Frame{{whole, taken(21), other("f", taken(5, Device{ID: "b", Revoked: true}))}},
			want:  []Device{{ID: "b", Revoked: true}},
		},
		{
			name: "an epoch that the backup came of", known: map[string]int64{"e": 20, "d": 7},
			files: [][]Frame{{other("d", taken(7, Device{ID: "x", Suspended: desk})), other("d", taken(8, Device{ID: "y", Revoked: true})), whole, taken(21)}},
			want:  []Device{{ID: "y", Revoked: true}},
		},
		{
			name:  "one epoch gives back, the other does not",
			files: [][]Frame{{whole, taken(21, Device{ID: "b", Suspended: desk}), other("f", taken(5, Device{ID: "b"}))}},
			want:  []Device{{ID: "b", Suspended: desk}},
		},
		{
			name: "keys go forward", files: [][]Frame{{whole, key(store.KeyRetired), key(store.KeyUsed), taken(21)}},
			keys: []Key{{Purpose: "ca", Version: 1, Stage: store.KeyRetired}},
		},
		{name: "none", doubts: "no journal reaches back"},
		{name: "begun too late", files: [][]Frame{{taken(21)}}, doubts: "no journal reaches back"},
		{name: "deleted in part", files: [][]Frame{{func() Frame { f := taken(30); f.From = 25; return f }()}}, doubts: "no journal reaches back"},
		{name: "not deleted too far", files: [][]Frame{{func() Frame { f := taken(30); f.From = 20; return f }()}}},
		{name: "not written since", files: [][]Frame{{whole, taken(15)}}, doubts: "ends at revision 15"},
		{name: "another control plane's", files: [][]Frame{{whole, taken(21)}, {foreign}}, doubts: "another control plane"},
	} {
		if c.known == nil {
			c.known = map[string]int64{"e": 20}
		}
		var files []File
		for _, frames := range c.files {
			files = append(files, File{Path: "file", Frames: frames})
		}
		got := Since(files, "i", "e", c.known)
		if diff := cmp.Diff(c.want, got.Devices); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if diff := cmp.Diff(c.keys, got.Keys); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if said := strings.Join(got.Doubts, "; "); (said == "") != (c.doubts == "") || !strings.Contains(said, c.doubts) {
			t.Errorf("%s: doubts %q", c.name, said)
		}
	}
}

// FuzzRead: no bytes make reading fail, and what is read is written and read
// again as the same.
func FuzzRead(f *testing.F) {
	line, err := encode(taken(1, Device{ID: "a", PublicKey: []byte("k"), Revoked: true}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(bytes.Clone(line), line...))
	f.Add([]byte("hdrj1 2 00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read, err := readFrom(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range read.Frames {
			line, err := encode(frame)
			if err != nil {
				t.Fatal(err)
			}
			again, err := decode(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			// An empty list and none are one: what counts is what is written.
			if twice, err := encode(again); err != nil || !bytes.Equal(line, twice) {
				t.Errorf("read again as %s, %v", twice, err)
			}
		}
	})
}
