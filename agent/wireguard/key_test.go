package wireguard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// RFC 7748, section 6.1: Alice's key pair.
const (
	alicePrivate = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
	alicePublic  = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
)

func unhex(t *testing.T, s string) [keyLen]byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != keyLen {
		t.Fatalf("bad test key %q: %v", s, err)
	}
	return [keyLen]byte(b)
}

func TestPublicKey(t *testing.T) {
	private := PrivateKey(unhex(t, alicePrivate))
	if got, want := private.PublicKey(), Key(unhex(t, alicePublic)); got != want {
		t.Errorf("public key %v, want %v", got, want)
	}
}

func TestGeneratedKeys(t *testing.T) {
	a, err := GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	if a == b || a.IsZero() {
		t.Error("two generated keys are the same, or none")
	}
	if a[0]&7 != 0 || a[31]&0xc0 != 0x40 {
		t.Error("a generated key is not clamped")
	}
	read, err := ParsePrivateKey(a.Base64())
	if err != nil || read != a {
		t.Errorf("a private key does not survive its base64: %v", err)
	}
	public, err := ParseKey(a.PublicKey().String())
	if err != nil || public != a.PublicKey() {
		t.Errorf("a public key does not survive its text: %v", err)
	}
}

// TestSecretsAreRedacted prints secrets in all the ways that a careless line would.
func TestSecretsAreRedacted(t *testing.T) {
	private := PrivateKey(unhex(t, alicePrivate))
	preshared := PresharedKey(unhex(t, alicePrivate))
	peer := Peer{PresharedKey: preshared}
	status := PeerStatus{Peer: peer}
	change := Change{Peer: peer}
	options := Options{PrivateKey: private}
	values := map[string]any{
		"private": private, "preshared": preshared, "pointer": &private, "peer": peer, "status": status, "change": change,
		"changes": []Change{change}, "options": options, "error": &ChangeError{Change: change, Err: errNoKey}, "private in a list": []PrivateKey{private},
	}
	base64 := private.Base64()
	// How the bytes 0x77 0x07 0x6d look in each verb.
	forbidden := []string{"77076d", "77 07 6d", "119 7 109", "119,7,109", "0x77, 0x7", base64[:8], strings.ToUpper("77076d"), "1110111"}
	check := func(how, printed string) {
		for _, secret := range forbidden {
			if strings.Contains(printed, secret) {
				t.Errorf("%s shows the secret: %s", how, printed)
			}
		}
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "% x"} {
			check(name+" with "+verb, fmt.Sprintf(verb, value))
		}
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "value", value)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("m", "value", value)
		check(name+" in a text log", text.String())
		check(name+" in a JSON log", lines.String())
		encoded, err := json.Marshal(value)
		if err == nil && name != "error" {
			t.Errorf("%s was encoded as JSON without an error: %s", name, encoded)
		}
		check(name+" in JSON", string(encoded))
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good := Key(unhex(t, alicePublic)).String()
	for name, text := range map[string]string{
		"empty":             "",
		"short":             good[1:],
		"long":              good + "A",
		"line break inside": good[:20] + "\n" + good[21:],
		"URL alphabet":      strings.Repeat("-", 43) + "=",
		"no padding":        good[:43] + "A",
		"stray bits":        good[:42] + "B=",
	} {
		if key, err := ParseKey(text); err == nil {
			t.Errorf("%s: %q was read as %v", name, text, key)
		}
		if _, err := ParsePrivateKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: as a private key: error %v", name, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err == nil && key.String() != text {
			t.Errorf("%q has a second spelling %q", text, key)
		}
	})
}
