package store

import (
	"encoding/base64"
	"time"
)

// KeyStage is how far a key has come.
type KeyStage string

// Stages of a CA's key; other keys are always used.
const (
	KeyNext    KeyStage = "next"    // agents learn of it; it does not issue yet
	KeyUsed    KeyStage = "used"    // of several, the highest version issues
	KeyRetired KeyStage = "retired" // only its certificate is left
)

// SealedKey is a key of the control plane that only the master key opens.
type SealedKey struct {
	Purpose   string // "ca", "session-root", "audit"
	Version   int64
	Sealed    []byte // nil once retired
	Public    []byte // DER of a CA's certificate; nil for others
	CreatedAt time.Time
	Stage     KeyStage
	StageAt   time.Time // zero: since it was made
	Bridge    []byte    // DER: its predecessor's word for a CA; nil: it had none
}

const selectKey = `select purpose, version, sealed, public, created_at, stage, stage_at, bridge from sealed_key `

func scanKey(s scanner) (k SealedKey, err error) {
	var sealed, public, bridge string
	var created, stageAt int64
	if err := s.Scan(&k.Purpose, &k.Version, &sealed, &public, &created, &k.Stage, &stageAt, &bridge); err != nil {
		return k, err
	}
	k.CreatedAt, k.StageAt = at(created), at(stageAt)
	for _, v := range []struct {
		text string
		into *[]byte
	}{{sealed, &k.Sealed}, {public, &k.Public}, {bridge, &k.Bridge}} {
		if v.text == "" {
			continue
		}
		if *v.into, err = base64.StdEncoding.DecodeString(v.text); err != nil {
			return k, err
		}
	}
	return k, nil
}

// Keys lists all keys of a purpose, newest first.
func (r *Reader) Keys(purpose string) ([]SealedKey, error) {
	return all(r.q, scanKey, selectKey+`where purpose = $1 order by version desc`, purpose)
}

// AllKeys lists the keys of every purpose, by purpose, newest first.
func (r *Reader) AllKeys() ([]SealedKey, error) {
	return all(r.q, scanKey, selectKey+`order by purpose, version desc`)
}

// AddKey adds the next version of a key. An empty stage is "used". Versions are
// never used again.
func (w *Writer) AddKey(k SealedKey) error {
	if k.Stage == "" {
		k.Stage = KeyUsed
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = w.Now
	}
	text := base64.StdEncoding.EncodeToString
	return run(w.q, `insert into sealed_key (purpose, version, sealed, public, created_at, stage, stage_at, bridge) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.Purpose, k.Version, text(k.Sealed), text(k.Public), ms(k.CreatedAt), string(k.Stage), ms(k.StageAt), text(k.Bridge))
}

// StageKey brings a key to another stage. A retired one loses its secret.
func (w *Writer) StageKey(purpose string, version int64, stage KeyStage) error {
	if err := run(w.q, `update sealed_key set stage = $1, stage_at = $2 where purpose = $3 and version = $4`, string(stage), ms(w.Now), purpose, version); err != nil {
		return err
	}
	if stage != KeyRetired {
		return nil
	}
	return run(w.q, `update sealed_key set sealed = '' where purpose = $1 and version = $2`, purpose, version)
}

// ResealKey puts a key that was sealed anew in the place of the same key.
func (w *Writer) ResealKey(purpose string, version int64, sealed []byte) error {
	return run(w.q, `update sealed_key set sealed = $1 where purpose = $2 and version = $3`, base64.StdEncoding.EncodeToString(sealed), purpose, version)
}

// DropKey deletes a key.
func (w *Writer) DropKey(purpose string, version int64) error {
	return run(w.q, `delete from sealed_key where purpose = $1 and version = $2`, purpose, version)
}

// KeyVersionOpen reports whether an open session, or the file of a static peer, uses
// a version of the session root.
func (r *Reader) KeyVersionOpen(version int64) (bool, error) {
	n, err := one(r.q, value[int64], `select (select count(*) from (select id from session where closed_at = 0 and key_version = $1 limit 1) as using_it)
		+ (select count(*) from static_peer where key_version = $2)`, version, version)
	return n > 0, err
}

// Certificates counts devices and gateways that may still need a CA.
type Certificates struct {
	Devices  int64
	Gateways []string
	Last     time.Time // when the last one of them ends
}

// CertificatesBefore counts the living certificates that end after now and not
// after t, of devices that are not revoked and of gateways: who renews gets one
// that ends later, so these were issued a lifetime before t or earlier.
func (r *Reader) CertificatesBefore(now, t time.Time) (c Certificates, err error) {
	type row struct{ n, last int64 }
	devices, err := one(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.n, &v.last); return v, err },
		`select count(*), coalesce(max(certificate_not_after), 0) from device
		where revoked_at = 0 and certificate_not_after > $1 and certificate_not_after <= $2`, ms(now), ms(t))
	if err != nil {
		return c, err
	}
	c.Devices, c.Last = devices.n, at(devices.last)
	type ending struct {
		name string
		end  int64
	}
	gateways, err := all(r.q, func(s scanner) (v ending, err error) { err = s.Scan(&v.name, &v.end); return v, err },
		`select name, certificate_not_after from gateway where certificate_not_after > $1 and certificate_not_after <= $2 order by name`, ms(now), ms(t))
	for _, g := range gateways {
		c.Gateways = append(c.Gateways, g.name)
		if end := at(g.end); end.After(c.Last) {
			c.Last = end
		}
	}
	return c, err
}
