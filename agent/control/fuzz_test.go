package control

import (
	"encoding/json"
	"errors"
	"io/fs"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// FuzzIssued sends what a hostile control plane may send for a certificate: it is
// kept whole and usable, or not at all.
func FuzzIssued(f *testing.F) {
	ca := newAuthority(f)
	request, err := NewKeyRequest()
	check(f, err)
	add := func(m *heimdrahtv1.Certificate) {
		b, err := proto.Marshal(m)
		check(f, err)
		f.Add(b)
	}
	good := ca.client(request.CSR, time.Hour)
	add(good)
	add(&heimdrahtv1.Certificate{})
	add(&heimdrahtv1.Certificate{Leaf: ca.cert.Raw, Authorities: good.GetAuthorities()})
	add(&heimdrahtv1.Certificate{Leaf: good.GetLeaf(), Authorities: [][]byte{good.GetLeaf()}})
	add(&heimdrahtv1.Certificate{Leaf: good.GetLeaf(), Authorities: make([][]byte, 100)})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m heimdrahtv1.Certificate
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		store := &MemoryStore{}
		identity, err := SaveIdentity(store, request, &m, Trust{Pin: Fingerprint{1}})
		kept, loadErr := LoadIdentity(store)
		if err != nil {
			if _, ok := AsProblem(err); !ok || !errors.Is(loadErr, fs.ErrNotExist) {
				t.Fatalf("refused with %v, and kept %v", err, loadErr)
			}
			return
		}
		if loadErr != nil || !kept.Leaf().Equal(identity.Leaf()) || len(kept.Trust().Authorities) == 0 || kept.RenewAt().After(kept.Leaf().NotAfter) {
			t.Fatalf("kept %+v, %v", kept, loadErr)
		}
	})
}

// FuzzLoadIdentity reads what may stand in a file that somebody has changed.
func FuzzLoadIdentity(f *testing.F) {
	store := &MemoryStore{}
	newIdentity(f, newAuthority(f), store, time.Hour)
	f.Add(store.values[identityFile])
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"key":"AAAA","leaf":"AAAA","authorities":[null]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if !json.Valid(content) {
			return
		}
		identity, err := LoadIdentity(&MemoryStore{values: map[string][]byte{identityFile: content}})
		if err == nil && (identity.Leaf() == nil || len(identity.Trust().Authorities) == 0 && !identity.Trust().Public) {
			t.Errorf("accepted %+v", identity)
		}
	})
}
