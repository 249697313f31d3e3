package factor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"pgregory.net/rapid"
)

// rfc is the secret of RFC 6238, appendix B, for SHA-1.
func rfc() (s Secret) {
	copy(s[:], "12345678901234567890")
	return s
}

// The vectors of RFC 6238, appendix B. They have eight digits; a code of six is
// the last six of them.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		at   int64
		code string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	} {
		now := time.Unix(v.at, 0)
		step, err := Verify(rfc(), v.code[2:], now, -1)
		if err != nil || step != v.at/30 {
			t.Errorf("at %d: step %d, %v; want %d", v.at, step, err, v.at/30)
		}
	}
}

func codeAt(s Secret, step int64) string {
	code, err := Code(s.Base32(), time.Unix(step*30, 0))
	if err != nil {
		panic(err)
	}
	return code
}

// A code counts within a step of its own, once, and never one from before the
// last that counted.
func TestVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Secret(rapid.SliceOfN(rapid.Byte(), secretSize, secretSize).Draw(t, "secret"))
		now := time.Unix(rapid.Int64Range(1_700_000_000, 4_000_000_000).Draw(t, "now"), 0)
		off := rapid.Int64Range(-2*farOff, 2*farOff).Draw(t, "off")
		at := Step(now)
		code := codeAt(s, at+off)
		var alike []int64 // steps near by with the same code, by chance
		for i := int64(-2 * farOff); i <= 2*farOff; i++ {
			if codeAt(s, at+i) == code {
				alike = append(alike, i)
			}
		}
		if len(alike) > 1 {
			t.Skip("two steps have one code")
		}
		step, err := Verify(s, code, now, at-10)
		switch {
		case abs(off) <= drift:
			if err != nil || step != at+off {
				t.Fatalf("%d steps off: step %d, %v", off, step, err)
			}
			for _, after := range []int64{step, step + 1} {
				if _, err := Verify(s, code, now, after); !errors.Is(err, ErrUsed) {
					t.Fatalf("used again, after %d: %v", after-step, err)
				}
			}
			if _, err := Verify(s, code, now, step-1); err != nil {
				t.Fatalf("after the step before: %v", err)
			}
		case abs(off) <= farOff:
			if !errors.Is(err, ErrClock) {
				t.Fatalf("%d steps off: %v", off, err)
			}
		default:
			if !errors.Is(err, ErrWrong) {
				t.Fatalf("%d steps off: %v", off, err)
			}
		}
	})
}

func TestVerifyRefuses(t *testing.T) {
	now := time.Unix(59, 0)
	for _, code := range []string{"", "28708", "2870822", "287o82", "287083", "２８７０８２", strings.Repeat("1", 1<<16)} {
		if _, err := Verify(rfc(), code, now, -1); !errors.Is(err, ErrWrong) {
			t.Errorf("%.20q: %v", code, err)
		}
	}
}

func TestSecretHidesItself(t *testing.T) {
	s := rfc()
	shown := fmt.Sprintf("%v %s %x %d %+v %#v %q", s, s, s, s, s, s, struct{ S Secret }{s})
	asJSON, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"1234567890", "49, 50", "3132", s.Base32()} {
		if strings.Contains(shown+string(asJSON), leak) {
			t.Errorf("%q shows %q", shown+string(asJSON), leak)
		}
	}
	if first, second := NewSecret(), NewSecret(); first == second {
		t.Error("two secrets are one")
	}
}

// What an app reads is what was meant, whatever the names.
func TestURI(t *testing.T) {
	for _, v := range [][2]string{{"Stadt Beispiel", "müller@stadt.example"}, {"A & B: C?", "eva+vpn@x"}, {"", "eva"}} {
		u := rfc().URI(v[0], v[1])
		parsed, err := url.Parse(u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		key, err := otp.NewKeyFromURL(u)
		if err != nil || key.Secret() != rfc().Base32() || key.AccountName() != v[1] || strings.Contains(u, "+") && !strings.Contains(v[1], "+") {
			t.Errorf("%s is read as secret %s, account %q: %v", u, key.Secret(), key.AccountName(), err)
		}
		if issuer := parsed.Query().Get("issuer"); issuer != strings.ReplaceAll(v[0], ":", " ") {
			t.Errorf("%s names the issuer %q", u, issuer)
		}
	}
}

// Every code that is given out is recognised however it is typed, and no two are
// one.
func TestRecoveryCodes(t *testing.T) {
	var all []string
	for range 100 {
		all = append(all, NewRecoveryCodes()...)
	}
	for _, c := range all {
		plain := strings.ReplaceAll(c, "-", "")
		for _, typed := range []string{c, plain, strings.ToUpper(c), " " + c + "\n", strings.ReplaceAll(c, "-", " "), strings.NewReplacer("0", "O", "1", "l").Replace(c)} {
			if code, recovery := Typed(typed); code != "" || recovery != plain {
				t.Fatalf("%q is read as %q, %q", typed, code, recovery)
			}
		}
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 100*RecoveryCodes {
		t.Error("two codes are one")
	}
	if Hash("a", "x") == Hash("b", "x") || Hash("a", "x") == Hash("a", "y") {
		t.Error("the hash does not depend on person and code")
	}
}

func FuzzTyped(f *testing.F) {
	for _, s := range []string{"123 456", "abcd-efgh-jkmn-pqrs", "", "12345", "ﬁ", strings.Repeat("1", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, recovery := Typed(s)
		if code != "" && (len(code) != 6 || recovery != "") || recovery != "" && len(recovery) != codeLength || strings.Trim(code+recovery, alphabet) != "" {
			t.Errorf("%q is read as %q, %q", s, code, recovery)
		}
	})
}
