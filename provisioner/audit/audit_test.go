package audit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// The format as the package comment states it, built by hand: who verifies an
// export years later relies on it.
func TestFormat(t *testing.T) {
	salt := audit.Salt{0: 0xa0, 15: 0x0f}
	before := audit.Head{Seq: 41, Hash: audit.Hash{0: 1, 31: 2}}
	r, head, err := before.Append(audit.Event{
		At:     time.Date(2027, 1, 4, 8, 30, 0, 123_999_999, time.FixedZone("CET", 3600)),
		Tenant: "stadt",
		Actor:  audit.Actor{Kind: "helpdesk", ID: "p1", Name: "Müller, Eva"},
		Action: "revoke device", Object: audit.Object{Kind: "device", ID: "d1", Name: "NB-17"},
		Reason: "lost on the \"train\" <yesterday>", Source: "192.0.2.7", Result: audit.ResultDone,
		Details: map[string]string{"revision": "1234", "epoch": "e"},
	}, salt)
	if err != nil {
		t.Fatal(err)
	}
	payload := `{"v":1,"at":"2027-01-04T07:30:00.123Z","tenant":"stadt","actor":{"kind":"helpdesk","id":"p1","name":"Müller, Eva"},` +
		`"action":"revoke device","object":{"kind":"device","id":"d1","name":"NB-17"},"reason":"lost on the \"train\" <yesterday>",` +
		`"source":"192.0.2.7","result":"done","details":{"epoch":"e","revision":"1234"}}`
	if diff := cmp.Diff(payload, string(r.Payload)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}

	commitment := sha256.Sum256([]byte("heimdraht audit payload 1\n" + string(salt[:]) + payload))
	hash := sha256.Sum256(slices.Concat(
		[]byte("heimdraht audit record 1\n"), before.Hash[:],
		[]byte{0, 0, 0, 0, 0, 0, 0, 42},
		[]byte{0x00, 0x00, 0x01, 0xa2, 0xdf, 0x9a, 0xe5, 0x3b}, // 1799047800123 ms
		[]byte{0, 0, 0, 0, 0, 0, 0, 5}, []byte("stadt"), commitment[:]))
	if r.Commitment != commitment || r.Hash != hash {
		t.Errorf("commitment %v, hash %v; want %x, %x", r.Commitment, r.Hash, commitment, hash)
	}
	if want := (audit.Head{Seq: 42, Hash: hash}); head != want || r.Seq != 42 {
		t.Errorf("head %v", head)
	}
}

// A whole chain verifies, also from any place in it, and with any records
// erased, and the summary counts them.
func TestWholeChainVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain, head := aChain(t, 1)
		from := rapid.IntRange(0, len(chain)-1).Draw(t, "from")
		after := audit.Head{}
		if from > 0 {
			after = chain[from-1].Head()
		}
		want := audit.Summary{Records: int64(len(chain) - from), Last: chain[len(chain)-1].At}
		for i := from; i < len(chain); i++ {
			if rapid.Bool().Draw(t, "erase") {
				chain[i] = chain[i].Erased().Erased()
				want.Erased++
				if chain[i].At.After(want.LastErased) {
					want.LastErased = chain[i].At
				}
			}
		}
		got, err := audit.Verify(after, sequence(chain[from:]), head)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// Whatever is done to a chain, of which any records may be erased, is found.
func TestTamperingIsFound(t *testing.T) {
	type tampering struct {
		name   string
		faults []audit.Fault
		do     func(t *rapid.T, chain []audit.Record, at int) []audit.Record
	}
	changed := []audit.Fault{audit.FaultChanged}
	for _, c := range []tampering{
		{"payload changed", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			if chain[at].IsErased() {
				t.Skip("nothing to change")
			}
			chain[at].Payload = flip(t, chain[at].Payload)
			return chain
		}},
		{"payload and commitment changed", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			forged, _, err := audit.Head{Seq: chain[at].Seq - 1}.Append(audit.Event{At: chain[at].At, Tenant: chain[at].Tenant, Action: "forged"}, audit.NewSalt())
			if err != nil {
				t.Fatal(err)
			}
			chain[at].Payload, chain[at].Salt, chain[at].Commitment = forged.Payload, forged.Salt, forged.Commitment
			return chain
		}},
		{"payload taken, salt left", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			if chain[at].IsErased() {
				t.Skip("nothing to take")
			}
			chain[at].Payload = nil
			return chain
		}},
		{"salt taken, payload left", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			if chain[at].IsErased() {
				t.Skip("nothing to take")
			}
			chain[at].Salt = nil
			return chain
		}},
		{"payload put into an erased record", changed, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			chain[at].Payload, chain[at].Salt = []byte(`{"v":1}`), make([]byte, 16)
			return chain
		}},
		{"commitment changed", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			chain[at].Commitment = audit.Hash(flip(t, chain[at].Commitment[:]))
			return chain
		}},
		{"hash changed", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			chain[at].Hash = audit.Hash(flip(t, chain[at].Hash[:]))
			return chain
		}},
		{"time moved", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			chain[at].At = chain[at].At.Add(time.Duration(rapid.SampledFrom([]int{-1, 1, 86_400_000}).Draw(t, "ms")) * time.Millisecond)
			return chain
		}},
		{"tenant changed", changed, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			chain[at].Tenant += "x"
			return chain
		}},
		{"record taken out", []audit.Fault{audit.FaultMissing, audit.FaultCutOff}, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			return slices.Delete(chain, at, at+1)
		}},
		{"record taken out, the rest renumbered", []audit.Fault{audit.FaultChanged, audit.FaultCutOff}, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			for i := at + 1; i < len(chain); i++ {
				chain[i].Seq--
			}
			return slices.Delete(chain, at, at+1)
		}},
		{"cut off", []audit.Fault{audit.FaultCutOff}, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			return chain[:at]
		}},
		{"two swapped", []audit.Fault{audit.FaultMissing}, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			if at == 0 {
				t.Skip("nothing before it")
			}
			chain[at], chain[at-1] = chain[at-1], chain[at]
			return chain
		}},
		{"two swapped and renumbered", changed, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			if at == 0 {
				t.Skip("nothing before it")
			}
			chain[at], chain[at-1] = chain[at-1], chain[at]
			chain[at].Seq, chain[at-1].Seq = chain[at-1].Seq, chain[at].Seq
			return chain
		}},
		{"record twice", []audit.Fault{audit.FaultDisorder}, func(_ *rapid.T, chain []audit.Record, at int) []audit.Record {
			return slices.Insert(chain, at, chain[at])
		}},
		{"record put in, the rest renumbered", []audit.Fault{audit.FaultChanged, audit.FaultHead, audit.FaultAdded}, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			forged, _, err := before(chain, at).Append(anEvent().Draw(t, "forged"), audit.NewSalt())
			if err != nil {
				t.Fatal(err)
			}
			for i := at; i < len(chain); i++ {
				chain[i].Seq++
			}
			return slices.Insert(chain, at, forged)
		}},
		{"record added at the end", []audit.Fault{audit.FaultAdded}, func(t *rapid.T, chain []audit.Record, _ int) []audit.Record {
			forged, _, err := before(chain, len(chain)).Append(anEvent().Draw(t, "forged"), audit.NewSalt())
			if err != nil {
				t.Fatal(err)
			}
			return append(chain, forged)
		}},
		{"end written anew", []audit.Fault{audit.FaultHead}, func(t *rapid.T, chain []audit.Record, at int) []audit.Record {
			h := before(chain, at)
			for i := at; i < len(chain); i++ {
				var err error
				if chain[i], h, err = h.Append(anEvent().Draw(t, "forged"), audit.NewSalt()); err != nil {
					t.Fatal(err)
				}
			}
			return chain
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				chain, head := aChain(t, 1)
				for i := range chain {
					if rapid.Bool().Draw(t, "erase") {
						chain[i] = chain[i].Erased()
					}
				}
				at := rapid.IntRange(0, len(chain)-1).Draw(t, "at")
				chain = c.do(t, chain, at)
				_, err := audit.Verify(audit.Head{}, sequence(chain), head)
				var broken *audit.Broken
				if !errors.As(err, &broken) || !slices.Contains(c.faults, broken.Fault) {
					t.Fatalf("error %v, want one of %v", err, c.faults)
				}
				if broken.Seq < int64(at) { // what lies before the place is whole
					t.Fatalf("record %d is blamed for what was done at %d: %v", broken.Seq, at+1, err)
				}
			})
		})
	}
}

func TestEmptyLog(t *testing.T) {
	none := sequence(nil)
	if sum, err := audit.Verify(audit.Head{}, none, audit.Head{}); err != nil || sum != (audit.Summary{}) {
		t.Errorf("an empty log: %v, %v", sum, err)
	}
	_, err := audit.Verify(audit.Head{}, none, audit.Head{Seq: 3})
	if want := "the audit log is broken at record 1 (cut off): it ends here, and its head is record 3"; err == nil || err.Error() != want {
		t.Errorf("a log that was emptied: %v", err)
	}
}

func TestVerifyPassesReadErrorsOn(t *testing.T) {
	why := errors.New("disk")
	_, err := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) { yield(audit.Record{}, why) }, audit.Head{Seq: 1})
	var broken *audit.Broken
	if !errors.Is(err, why) || errors.As(err, &broken) {
		t.Errorf("error %v", err)
	}
}

// Equal events leave unequal commitments: what was erased cannot be found by
// trying who it may have been.
func TestSaltHidesErasedPayloads(t *testing.T) {
	e := audit.Event{At: time.UnixMilli(1), Action: "x"}
	a, _, errA := audit.Head{}.Append(e, audit.NewSalt())
	b, _, errB := audit.Head{}.Append(e, audit.NewSalt())
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if a.Commitment == b.Commitment || string(a.Payload) != string(b.Payload) {
		t.Error("the commitment does not depend on the salt alone")
	}
	if _, err := a.Erased().Event(); err == nil || err.Error() != "audit record 1 is erased" {
		t.Errorf("reading an erased record: %v", err)
	}
}

// What is read back is what was written, once cleaned; and cleaned text stays.
func TestEventRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, _, err := audit.Head{}.Append(anEvent().Draw(t, "event"), audit.NewSalt())
		if err != nil {
			t.Fatal(err)
		}
		e, err := first.Event()
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := audit.Head{}.Append(e, audit.NewSalt())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first.Payload), string(second.Payload)); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}

func TestEventWithoutTime(t *testing.T) {
	if _, head, err := (audit.Head{}).Append(audit.Event{}, audit.NewSalt()); err == nil || head != (audit.Head{}) {
		t.Errorf("appended an event without a time: %v, %v", head, err)
	}
}

func TestBy(t *testing.T) {
	got := audit.Event{Action: "a"}.By(provisioner.Actor{
		ID: "p1", Name: "Eva", Source: "192.0.2.7",
		Grants: []provisioner.Grant{{Role: provisioner.RoleStaff, Tenant: "stadt"}, {Role: provisioner.RoleHelpdesk, Tenant: "stadt"}},
	})
	want := audit.Event{Action: "a", Actor: audit.Actor{Kind: "helpdesk", ID: "p1", Name: "Eva"}, Source: "192.0.2.7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCleanReason(t *testing.T) {
	long := strings.Repeat("ä", audit.ReasonLimit)
	for in, want := range map[string]string{
		"":                                  "",
		" \t\r\n ":                          "",
		" Gerät  verloren\r\n\r\nin Fulda ": "Gerät verloren in Fulda",
		"red\x1b[31m\x00\x7f":               "red [31m",
		"a\u202eb\u200bc\ufeffd\u2066e":     "abcde",
		"a\u00a0b\u2028c":                   "a b c",
		"bad \xff\xfe utf-8":                "bad \ufffd\ufffd utf-8",
		"=1+1; 'x' <b>":                     "=1+1; 'x' <b>",
		long:                                long,
		long + " \n":                        long,
		long + "x":                          strings.Repeat("ä", audit.ReasonLimit-1) + "…",
	} {
		if got := audit.CleanReason(in); got != want {
			t.Errorf("CleanReason(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanTextIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ab \n…\u202e")))).Draw(t, "text")
		once := audit.CleanText(s, limit)
		if twice := audit.CleanText(once, limit); twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
		if utf8.RuneCountInString(once) > limit || strings.TrimSpace(once) != once || !utf8.ValidString(once) {
			t.Fatalf("%q of %q", once, s)
		}
	})
}

func TestHashText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := audit.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		if back, err := audit.ParseHash(h.String()); err != nil || back != h || h.String() != hex.EncodeToString(h[:]) {
			t.Fatalf("%v became %v: %v", h, back, err)
		}
	})
	if h, err := audit.ParseHash(audit.Hash{}.String()); err != nil || h != (audit.Hash{}) {
		t.Errorf("the zero hash became %v: %v", h, err)
	}
	for _, s := range []string{"x", "00", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		if _, err := audit.ParseHash(s); err == nil {
			t.Errorf("ParseHash(%q) gave no error", s)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"v":1,"at":"2027-01-04T07:30:00.123Z","actor":{},"action":"x","object":{}}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"at":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := audit.DecodeEvent(payload)
		if err != nil {
			return
		}
		if e.At.Year() < 1970 {
			return
		}
		if _, _, err := (audit.Head{}).Append(e, audit.Salt{}); err != nil {
			t.Errorf("%s was read, and cannot be written: %v", payload, err)
		}
	})
}

func before(chain []audit.Record, at int) audit.Head {
	if at == 0 {
		return audit.Head{}
	}
	return chain[at-1].Head()
}

func flip(t *rapid.T, b []byte) []byte {
	b = slices.Clone(b)
	b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	return b
}

func sequence(chain []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range chain {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func aChain(t *rapid.T, least int) (chain []audit.Record, head audit.Head) {
	for _, e := range rapid.SliceOfN(anEvent(), least, 6).Draw(t, "events") {
		r, h, err := head.Append(e, audit.NewSalt())
		if err != nil {
			t.Fatal(err)
		}
		chain, head = append(chain, r), h
	}
	return chain, head
}

func anEvent() *rapid.Generator[audit.Event] {
	return rapid.Custom(func(t *rapid.T) audit.Event {
		return audit.Event{
			At:      time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "ms")),
			Tenant:  rapid.SampledFrom([]string{"", "stadt", "kreis"}).Draw(t, "tenant"),
			Actor:   audit.Actor{Kind: "helpdesk", ID: rapid.String().Draw(t, "actor")},
			Action:  rapid.SampledFrom([]string{"revoke device", "suspend device"}).Draw(t, "action"),
			Object:  audit.Object{Kind: "device", ID: rapid.String().Draw(t, "object")},
			Reason:  rapid.String().Draw(t, "reason"),
			Details: rapid.MapOfN(rapid.String(), rapid.String(), 0, 2).Draw(t, "details"),
		}
	})
}
