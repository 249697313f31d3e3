package store

import (
	"encoding/base64"
	"time"
)

// SealedKey is a key of the control plane that only the master key opens.
type SealedKey struct {
	Purpose   string // "ca", "session-root", "audit"
	Version   int64
	Sealed    []byte
	Public    []byte // DER of a CA's certificate; nil for others
	CreatedAt time.Time
}

// Keys lists all keys of a purpose, newest first.
func (r *Reader) Keys(purpose string) ([]SealedKey, error) {
	return all(r.q, func(s scanner) (k SealedKey, err error) {
		var sealed, public string
		var created int64
		if err := s.Scan(&k.Purpose, &k.Version, &sealed, &public, &created); err != nil {
			return k, err
		}
		k.CreatedAt = at(created)
		if k.Sealed, err = base64.StdEncoding.DecodeString(sealed); err != nil {
			return k, err
		}
		if public != "" {
			k.Public, err = base64.StdEncoding.DecodeString(public)
		}
		return k, err
	}, `select purpose, version, sealed, public, created_at from sealed_key where purpose = $1 order by version desc`, purpose)
}

// AddKey adds the next version of a key. Versions are never rewritten.
func (w *Writer) AddKey(k SealedKey) error {
	return run(w.q, `insert into sealed_key (purpose, version, sealed, public, created_at) values ($1, $2, $3, $4, $5)`,
		k.Purpose, k.Version, base64.StdEncoding.EncodeToString(k.Sealed), base64.StdEncoding.EncodeToString(k.Public), ms(w.Now))
}
