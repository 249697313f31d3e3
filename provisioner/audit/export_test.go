package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/audit"
)

func aKey(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// The signed bytes as the package comment states them, built by hand: who verifies
// a checkpoint years later relies on it.
func TestCheckpointFormat(t *testing.T) {
	key := aKey(1)
	hash := audit.Hash{0: 7, 31: 9}
	c := audit.Sign(key, audit.Checkpoint{
		Installation: "inst", At: time.Date(2027, 1, 4, 8, 30, 0, 123_999_999, time.FixedZone("CET", 3600)), Complete: true,
		Heads: []audit.ChainHead{{Chain: "stadt", Head: audit.Head{Seq: 258, Hash: hash}}, {Head: audit.Head{Seq: 1, Hash: hash}}},
	})
	signed := slices.Concat(
		[]byte("heimdraht audit checkpoint 1\n"),
		[]byte{0, 0, 0, 0, 0, 0, 0, 4}, []byte("inst"),
		[]byte{0x00, 0x00, 0x01, 0xa2, 0xdf, 0x9a, 0xe5, 0x3b}, // 1799047800123 ms
		[]byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0, 0, 2},
		[]byte{0, 0, 0, 0, 0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 1}, hash[:],
		[]byte{0, 0, 0, 0, 0, 0, 0, 5}, []byte("stadt"), []byte{0, 0, 0, 0, 0, 0, 1, 2}, hash[:],
	)
	if !ed25519.Verify(public(key), signed, c.Signature) {
		t.Error("the signature is over other bytes")
	}
	id := sha256.Sum256(public(key))
	line, err := audit.EncodeCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"checkpoint","installation":"inst","at":"2027-01-04T07:30:00.123Z","complete":true,"heads":[` +
		`{"chain":"","seq":1,"hash":"` + hash.String() + `"},{"chain":"stadt","seq":258,"hash":"` + hash.String() + `"}],` +
		`"key":"` + hex.EncodeToString(id[:]) + `","signature":"` + base64.StdEncoding.EncodeToString(c.Signature) + `"}`
	if diff := cmp.Diff(want, string(line)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back, err := audit.ReadCheckpoints(strings.NewReader("<109>something else\n" + want + "\n"))
	if err != nil || len(back) != 1 {
		t.Fatal(back, err)
	}
	if diff := cmp.Diff(c, back[0]); diff != "" {
		t.Errorf("(-signed +read):\n%s", diff)
	}
	if back[0].Complete = false; !errors.Is(back[0].Check(public(key)), audit.ErrSignature) {
		t.Error("a changed checkpoint was taken for genuine")
	}
	if err := c.Check(public(aKey(2))); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("with another key: %v", err)
	}
	if err := c.Check(nil); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("without a key: %v", err)
	}
}

// log is what a file is made of.
type log struct {
	chains  map[string][]audit.Record
	earlier []audit.Record
	before  []audit.Hash
}

func aLog(t testing.TB) log { return aLogSalted(t, 0) }

// aLogSalted is the same, other bytes.
func aLogSalted(t testing.TB, salt byte) log {
	l := log{chains: make(map[string][]audit.Record)}
	for i, chain := range []string{"", "stadt", "", "kreis", "stadt", "stadt", "stadt", "kreis", "stadt"} {
		var head audit.Head
		if n := len(l.chains[chain]); n > 0 {
			head = l.chains[chain][n-1].Head()
		}
		r, _, err := head.Append(audit.Event{
			At: time.UnixMilli(int64(1_800_000_000_000 + i)), Tenant: chain, Action: "revoke device", Object: audit.Object{Kind: "device", ID: fmt.Sprint(i)},
			Reason: "lost & <found>",
		}, audit.Salt{salt, byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		l.chains[chain] = append(l.chains[chain], r)
	}
	l.chains["stadt"][1] = l.chains["stadt"][1].Erased()
	return l
}

// file writes the chains, and signs where they end.
func (l log) file(t testing.TB, key ed25519.PrivateKey, complete bool, chains ...string) []string {
	c := audit.Checkpoint{Installation: "inst", At: time.UnixMilli(1_800_000_100_000), Complete: complete}
	for _, chain := range chains {
		list := l.chains[chain]
		c.Heads = append(c.Heads, audit.ChainHead{Chain: chain, Head: list[len(list)-1].Head()})
	}
	var out bytes.Buffer
	e, err := audit.NewExport(&out, "inst")
	err = errors.Join(err, e.Key(public(key)), e.Checkpoint(audit.Sign(key, c)))
	for _, chain := range chains {
		for _, r := range l.chains[chain] {
			err = errors.Join(err, e.Record(chain, r))
		}
	}
	for i, r := range l.earlier {
		err = errors.Join(err, e.Earlier(l.before[i], r))
	}
	if err := errors.Join(err, e.End()); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func verify(lines []string, o audit.VerifyOptions) (audit.Report, error) {
	text := strings.Join(lines, "")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return audit.VerifyExport(strings.NewReader(text), o)
}

func TestVerifyExport(t *testing.T) {
	l, key := aLog(t), aKey(1)
	report, err := verify(l.file(t, key, true, "", "kreis", "stadt"), audit.VerifyOptions{Keys: []ed25519.PublicKey{public(aKey(2)), public(key)}})
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Report{
		Installation: "inst", Key: audit.IDOf(public(key)), KeyGiven: true, At: time.UnixMilli(1_800_000_100_000).UTC(), Complete: true,
		Chains: []audit.ChainReport{
			{Chain: "", Summary: audit.Summary{Records: 2, Last: time.UnixMilli(1_800_000_000_002).UTC()}},
			{Chain: "kreis", Summary: audit.Summary{Records: 2, Last: time.UnixMilli(1_800_000_000_007).UTC()}},
			{Chain: "stadt", Summary: audit.Summary{
				Records: 5, Erased: 1, Last: time.UnixMilli(1_800_000_000_008).UTC(), LastErased: time.UnixMilli(1_800_000_000_004).UTC(),
			}},
		},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever is done to a file is found, at the record at which it was done, with
// the public key alone.
func TestTamperingWithAFileIsFound(t *testing.T) {
	l, key := aLog(t), aKey(1)
	lines := l.file(t, key, true, "", "kreis", "stadt")
	// 0 export, 1 key, 2 checkpoint, 3-4 "", 5-6 kreis, 7-11 stadt (8 erased), 12 end
	forgedAfter := func(chain string) string {
		list := l.chains[chain]
		r, _, err := list[len(list)-1].Head().Append(audit.Event{At: time.UnixMilli(1_800_000_000_100), Tenant: chain, Action: "forged"}, audit.NewSalt())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := export(t, &out).Record(chain, r); err != nil {
			t.Fatal(err)
		}
		return strings.SplitAfter(out.String(), "\n")[1]
	}
	other := l.file(t, aKey(9), true, "", "kreis", "stadt")
	replace := func(i int, from, to string) func([]string) []string {
		return func(s []string) []string {
			if !strings.Contains(s[i], from) {
				t.Fatalf("line %d has no %s: %s", i, from, s[i])
			}
			s[i] = strings.Replace(s[i], from, to, 1)
			return s
		}
	}
	for _, c := range []struct {
		name  string
		do    func([]string) []string
		chain string
		seq   int64
		fault audit.Fault // empty: no record is to blame
	}{
		{"payload changed", replace(7, "found", "fund"), "stadt", 1, audit.FaultChanged},
		{"erased before its time, salt left", func(s []string) []string {
			from, to := strings.Index(s[7], `,"payload"`), strings.Index(s[7], `,"salt"`)
			s[7] = s[7][:from] + s[7][to:]
			return s
		}, "stadt", 1, audit.FaultChanged},
		{"time moved", replace(9, "2027-01-15T08:00:00.005Z", "2027-01-15T08:00:00.006Z"), "stadt", 3, audit.FaultChanged},
		{"tenant changed", replace(9, `"tenant":"stadt"`, `"tenant":"kreis"`), "stadt", 3, audit.FaultChanged},
		{"record taken out", func(s []string) []string { return slices.Delete(s, 9, 10) }, "stadt", 3, audit.FaultMissing},
		{"first taken out", func(s []string) []string { return slices.Delete(s, 7, 8) }, "stadt", 1, audit.FaultMissing},
		{"erased one taken out", func(s []string) []string { return slices.Delete(s, 8, 9) }, "stadt", 2, audit.FaultMissing},
		{"two swapped", func(s []string) []string { s[9], s[10] = s[10], s[9]; return s }, "stadt", 3, audit.FaultMissing},
		{"record twice", func(s []string) []string { return slices.Insert(s, 9, s[9]) }, "stadt", 3, audit.FaultDisorder},
		{"record of another chain put in", func(s []string) []string {
			return slices.Insert(s, 9, strings.Replace(s[5], `"chain":"kreis"`, `"chain":"stadt"`, 1))
		}, "stadt", 1, audit.FaultChanged},
		{"cut off", func(s []string) []string { return slices.Delete(s, 11, 12) }, "stadt", 5, audit.FaultCutOff},
		{"all of a chain cut off", func(s []string) []string { return slices.Delete(s, 7, 12) }, "stadt", 1, audit.FaultCutOff},
		{"a chain cut off in the middle of the file", func(s []string) []string { return slices.Delete(s, 6, 7) }, "kreis", 2, audit.FaultCutOff},
		{"record added at the end", func(s []string) []string { return slices.Insert(s, 12, forgedAfter("stadt")) }, "stadt", 6, audit.FaultAdded},
		{"chain added", func(s []string) []string {
			return slices.Insert(s, 12, strings.ReplaceAll(s[5], "kreis", "dorf"))
		}, "dorf", 1, audit.FaultAdded},
		{"chains swapped", func(s []string) []string { return slices.Concat(s[:5], s[7:12], s[5:7], s[12:]) }, "kreis", 1, audit.FaultCutOff},
		{"hash changed", func(s []string) []string {
			i := strings.LastIndex(s[11], `"hash":"`) + len(`"hash":"`)
			d := byte('0')
			if s[11][i] == d {
				d = '1'
			}
			s[11] = s[11][:i] + string(d) + s[11][i+1:]
			return s
		}, "stadt", 5, audit.FaultChanged},

		{"payload spelt otherwise", replace(7, "& <", `\u0026 <`), "", 0, ""},
		{"key exchanged", func(s []string) []string { s[1] = other[1]; return s }, "", 0, ""},
		{"key and checkpoint exchanged", func(s []string) []string { s[1], s[2] = other[1], other[2]; return s }, "", 0, ""},
		{"checkpoint of another key", func(s []string) []string { s[2] = other[2]; return s }, "", 0, ""},
		{"checkpoint shortened", replace(2, `"seq":5`, `"seq":4`), "", 0, ""},
		{"checkpoint made complete", func(s []string) []string { return replace(2, `"complete":true,`, "")(s) }, "", 0, ""},
		{"checkpoint taken out", func(s []string) []string { return slices.Delete(s, 2, 3) }, "", 0, ""},
		{"checkpoint twice", func(s []string) []string { return slices.Insert(s, 2, s[2]) }, "", 0, ""},
		{"installation changed", replace(0, "inst", "other"), "", 0, ""},
		{"another form", replace(0, `"format":1`, `"format":2`), "", 0, ""},
		{"a key twice in an object", replace(7, `"seq":1`, `"seq":9,"seq":1`), "", 0, ""},
		{"an unknown key in an object", replace(7, `"seq":1`, `"seq":1,"note":"x"`), "", 0, ""},
		{"a space", replace(7, `"seq":1`, `"seq": 1`), "", 0, ""},
		{"an empty line", func(s []string) []string { return slices.Insert(s, 9, "\n") }, "", 0, ""},
		{"no JSON", func(s []string) []string { s[9] = "x\n"; return s }, "", 0, ""},
		{"end missing", func(s []string) []string { return s[:12] }, "", 0, ""},
		{"end counts otherwise", replace(12, `"lines":12`, `"lines":11`), "", 0, ""},
		{"something behind the end", func(s []string) []string { return append(s[:12:12], s[12]+"\n", s[12]) }, "", 0, ""},
		{"header missing", func(s []string) []string { return s[1:] }, "", 0, ""},
		{"nothing", func([]string) []string { return []string{""} }, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, keys := range [][]ed25519.PublicKey{{public(key)}, nil} {
				_, err := verify(c.do(slices.Clone(lines)), audit.VerifyOptions{Keys: keys})
				if c.name == "key and checkpoint exchanged" && keys == nil {
					if err != nil { // this is what a key of one's own is for
						t.Errorf("without a key: %v", err)
					}
					continue
				}
				var fault *audit.ExportFault
				if !errors.As(err, &fault) {
					t.Fatalf("error %v", err)
				}
				if c.fault == "" {
					if fault.Broken != nil {
						t.Errorf("a record is blamed: %v", err)
					}
					continue
				}
				if fault.Broken == nil || fault.Chain != c.chain || fault.Broken.Seq != c.seq || fault.Broken.Fault != c.fault {
					t.Errorf("got %v, want record %d of %q (%s)", err, c.seq, c.chain, c.fault)
				}
			}
		})
	}
}

// export begins a file whose first line the caller leaves out.
func export(t *testing.T, out *bytes.Buffer) *audit.Export {
	t.Helper()
	e, err := audit.NewExport(out, "inst")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Every byte of a file counts: changed in any way, it is no longer good.
func TestEveryByteOfAFileCounts(t *testing.T) {
	key := aKey(1)
	text := strings.Join(aLog(t).file(t, key, false, "stadt"), "") + "\n"
	for i := range text {
		changed := text[:i] + string(text[i]^1) + text[i+1:]
		if _, err := audit.VerifyExport(strings.NewReader(changed), audit.VerifyOptions{Keys: []ed25519.PublicKey{public(key)}}); err == nil {
			t.Fatalf("byte %d was changed from %q: %s", i, text[i], strings.SplitAfter(changed, "\n")[strings.Count(text[:i], "\n")])
		}
	}
}

// A checkpoint that was kept elsewhere shows what the file's own cannot.
func TestCheckpointsKeptElsewhere(t *testing.T) {
	l, key := aLog(t), aKey(1)
	at := func(chain string, seq int64, minutes int) audit.Checkpoint {
		return audit.Sign(key, audit.Checkpoint{
			Installation: "inst", At: time.UnixMilli(1_800_000_000_000).Add(time.Duration(minutes) * time.Minute),
			Heads: []audit.ChainHead{{Chain: chain, Head: l.chains[chain][seq-1].Head()}},
		})
	}
	kept := []audit.Checkpoint{at("stadt", 3, 0), at("stadt", 5, 1), at("kreis", 2, 1)}
	options := audit.VerifyOptions{Keys: []ed25519.PublicKey{public(key)}, Checkpoints: kept}
	if report, err := verify(l.file(t, key, true, "kreis", "stadt"), options); err != nil || report.Held != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := verify(l.file(t, key, false, "stadt"), options); err != nil || report.Held != 2 {
		t.Errorf("of one tenant: %+v, %v", report, err)
	}
	if _, err := verify(l.file(t, key, false, "stadt"), audit.VerifyOptions{Checkpoints: []audit.Checkpoint{at("kreis", 1, 0)}}); err != nil {
		t.Errorf("of another chain: %v", err)
	}
	blame := func(name string, err error, seq int64, fault audit.Fault) {
		t.Helper()
		var broken *audit.Broken
		if !errors.As(err, &broken) || broken.Seq != seq || broken.Fault != fault {
			t.Errorf("%s: %v", name, err)
		}
	}
	short := log{chains: map[string][]audit.Record{"stadt": l.chains["stadt"][:4], "kreis": l.chains["kreis"]}}
	_, err := verify(short.file(t, key, true, "kreis", "stadt"), options)
	blame("cut off with its checkpoint", err, 5, audit.FaultCutOff)
	_, err = verify(short.file(t, key, true, "stadt"), options)
	blame("a chain taken out with its checkpoint", err, 5, audit.FaultCutOff)
	_, err = verify(log{chains: map[string][]audit.Record{"stadt": l.chains["stadt"]}}.file(t, key, true, "stadt"), options)
	blame("a whole chain taken out with its checkpoint", err, 1, audit.FaultCutOff)
	anew := aLogSalted(t, 1)
	_, err = verify(anew.file(t, key, true, "kreis", "stadt"), options)
	blame("written anew by who has the key", err, 2, audit.FaultHead)

	forged := at("stadt", 3, 0)
	forged.Heads[0].Seq = 2
	if _, err := verify(l.file(t, key, false, "stadt"), audit.VerifyOptions{Checkpoints: []audit.Checkpoint{forged}}); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("a forged checkpoint: %v", err)
	}
}

// Earlier records agree with themselves, each with the hash before it.
func TestEarlierRecords(t *testing.T) {
	l, key := aLog(t), aKey(1)
	own := l.chains[""]
	l.earlier, l.before = own, []audit.Hash{{}, own[0].Hash}
	lines := l.file(t, key, false, "stadt")
	report, err := verify(lines, audit.VerifyOptions{})
	if err != nil || report.Earlier != 2 || len(report.Chains) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	for name, do := range map[string]func([]string) []string{
		"changed": func(s []string) []string { s[9] = strings.Replace(s[9], "found", "fund", 1); return s },
		"before": func(s []string) []string {
			s[9] = strings.Replace(s[9], own[0].Hash.String(), own[1].Hash.String(), 1)
			return s
		},
		"swapped": func(s []string) []string { s[8], s[9] = s[9], s[8]; return s },
	} {
		var fault *audit.ExportFault
		if _, err := verify(do(slices.Clone(lines)), audit.VerifyOptions{}); !errors.As(err, &fault) || fault.Broken == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	l := aLog(f)
	l.earlier, l.before = l.chains[""][:1], []audit.Hash{{}}
	text := strings.Join(l.file(f, aKey(1), false, "stadt"), "") + "\n"
	f.Add([]byte(text))
	f.Add([]byte(text[:len(text)/2]))
	f.Add([]byte(`{"type":"export","format":1,"installation":""}` + "\n" + `{"type":"end","lines":1}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		report, err := audit.VerifyExport(bytes.NewReader(in), audit.VerifyOptions{Keys: []ed25519.PublicKey{public(aKey(1))}})
		if err != nil {
			var fault *audit.ExportFault
			if !errors.As(err, &fault) || fault.Line < 1 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if report.Installation != "inst" {
			t.Fatalf("nobody has signed %+v", report)
		}
	})
}

func FuzzReadCheckpoints(f *testing.F) {
	f.Add([]byte(`{"type":"checkpoint","installation":"i","at":"2027-01-04T07:30:00.123Z","heads":[],"key":"","signature":null}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := audit.ReadCheckpoints(bytes.NewReader(in))
		if err != nil {
			return
		}
		for _, c := range list {
			if _, err := audit.EncodeCheckpoint(c); err != nil {
				t.Fatal(err)
			}
		}
	})
}
