package provisioner_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestAcceptKey(t *testing.T) {
	good, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := good.PublicKey().Bytes()
	if got, err := provisioner.AcceptKey(key); err != nil || !bytes.Equal(got[:], key) {
		t.Errorf("a good key: %v, %v", got, err)
	}
	highBit := slices.Clone(key)
	highBit[31] |= 0x80
	beyond := slices.Concat([]byte{0xf6}, slices.Repeat([]byte{0xff}, 30), []byte{0x7f}) // 9 + 2^255-19, the base point again
	for name, bad := range map[string][]byte{
		"none": nil, "short": key[:31], "long": append(slices.Clone(key), 0), "zero": make([]byte, 32),
		"one": append([]byte{1}, make([]byte, 31)...), "the high bit": highBit, "beyond the field": beyond,
		// The points of order eight, and minus one.
		"order eight":       unhex(t, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
		"order eight again": unhex(t, "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
		"minus one":         unhex(t, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	} {
		if _, err := provisioner.AcceptKey(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzAcceptKey(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := provisioner.AcceptKey(b)
		if err == nil && !bytes.Equal(key[:], b) {
			t.Error("an accepted key is not the one that was brought")
		}
	})
}
