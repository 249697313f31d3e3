package store

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// WaitingState is what was decided on a laptop that waits.
type WaitingState string

// The states.
const (
	LaptopWaits    WaitingState = "waiting"
	LaptopApproved WaitingState = "approved"
	LaptopDenied   WaitingState = "denied"
)

// WaitingLaptop is a laptop that waits until somebody enrols it by a short code.
type WaitingLaptop struct {
	UserCode           string // without what is shown between its halves
	Tenant             string // which the laptop names, or that of who has decided; empty: any
	Name               string
	SerialNumber       string
	Platform           string
	AgentVersion       string
	PublicKey          provisioner.Key
	CertificateRequest []byte
	Source             string // the network address from which it asks
	Network            string // what it is counted by
	BegunAt            time.Time
	ExpiresAt          time.Time // until when it can be decided on
	KeptUntil          time.Time // until when the laptop can fetch the answer
	State              WaitingState
	Answer             WaitingAnswer // once it is approved
}

// WaitingAnswer is what an approved laptop is told.
type WaitingAnswer struct {
	Device         string
	Tenant         string
	PersonName     string
	Certificate    provisioner.Certificate
	Replaced       bool
	AwaitsApproval bool
}

const selectWaiting = `select user_code, tenant, name, serial_number, platform, agent_version, public_key, certificate_request, source, network,
	begun_at, expires_at, kept_until, state, answer from waiting_laptop `

func scanWaiting(s scanner) (v WaitingLaptop, err error) {
	var key, request, answer string
	var begun, expires, kept int64
	if err := s.Scan(&v.UserCode, &v.Tenant, &v.Name, &v.SerialNumber, &v.Platform, &v.AgentVersion, &key, &request, &v.Source, &v.Network,
		&begun, &expires, &kept, &v.State, &answer); err != nil {
		return v, err
	}
	v.BegunAt, v.ExpiresAt, v.KeptUntil = at(begun), at(expires), at(kept)
	if v.CertificateRequest, err = base64.StdEncoding.DecodeString(request); err != nil {
		return v, fmt.Errorf("reading a stored certificate request: %w", err)
	}
	if v.PublicKey, err = keyFromText(key); err != nil || answer == "" {
		return v, err
	}
	return v, fromJSON(answer, &v.Answer)
}

// AddWaitingLaptop keeps a laptop that waits, by the hash of its device code. It
// reports false if another one has that user code.
func (w *Writer) AddWaitingLaptop(deviceCode string, v WaitingLaptop) (bool, error) {
	n, err := changed(w.q, `insert into waiting_laptop (hash, user_code, tenant, name, serial_number, platform, agent_version, public_key,
			certificate_request, source, network, begun_at, expires_at, kept_until, state, answer)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, '') on conflict (user_code) do nothing`,
		hashToken(deviceCode), v.UserCode, v.Tenant, v.Name, v.SerialNumber, v.Platform, v.AgentVersion, v.PublicKey.String(),
		base64.StdEncoding.EncodeToString(v.CertificateRequest), v.Source, v.Network, ms(v.BegunAt), ms(v.ExpiresAt), ms(v.KeptUntil), string(v.State))
	return n > 0, err
}

// WaitingLaptopOf finds a laptop by its device code; ErrNone if there is none.
func (r *Reader) WaitingLaptopOf(deviceCode string) (WaitingLaptop, error) {
	return one(r.q, scanWaiting, selectWaiting+`where hash = $1`, hashToken(deviceCode))
}

// WaitingLaptop finds a laptop by its user code; ErrNone if there is none.
func (r *Reader) WaitingLaptop(userCode string) (WaitingLaptop, error) {
	return one(r.q, scanWaiting, selectWaiting+`where user_code = $1`, userCode)
}

// WaitingLaptops counts those whose time is not over: of a network, and all.
func (r *Reader) WaitingLaptops(network string, now time.Time) (there, everywhere int64, err error) {
	there, err = one(r.q, value[int64], `select count(*) from waiting_laptop where network = $1 and expires_at > $2`, network, ms(now))
	if err != nil {
		return 0, 0, err
	}
	everywhere, err = one(r.q, value[int64], `select count(*) from waiting_laptop where expires_at > $1`, ms(now))
	return there, everywhere, err
}

// DecideWaitingLaptop marks a laptop that waits as approved or denied in a tenant, to be
// kept for its answer until then. It reports false if it does not wait any more.
func (w *Writer) DecideWaitingLaptop(userCode, tenant string, state WaitingState, kept time.Time) (bool, error) {
	n, err := changed(w.q, `update waiting_laptop set state = $1, tenant = $2, kept_until = $3
		where user_code = $4 and state = 'waiting' and expires_at > $5`, string(state), tenant, ms(kept), userCode, ms(w.Now))
	return n > 0, err
}

// AnswerWaitingLaptop keeps what an approved laptop is told.
func (w *Writer) AnswerWaitingLaptop(userCode string, a WaitingAnswer) error {
	text, err := toJSON(a)
	if err != nil {
		return err
	}
	return run(w.q, `update waiting_laptop set answer = $1 where user_code = $2`, text, userCode)
}

// ForgetWaitingLaptops deletes those that are not kept any more.
func (w *Writer) ForgetWaitingLaptops(now time.Time) error {
	return run(w.q, `delete from waiting_laptop where kept_until < $1`, ms(now))
}

// AwaitingDevice is a device that waits for the helpdesk's word.
type AwaitingDevice struct {
	Device     provisioner.Device
	PersonName string
	Since      time.Time
}

// AwaitingDevices lists the devices in scope that wait for the helpdesk's word, the
// longest waiting first.
func (r *Reader) AwaitingDevices(scope provisioner.Scope, limit int) ([]AwaitingDevice, error) {
	var a args
	query := `select ` + deviceColumns + `, p.display_name, u.since from suspension u join device d on d.id = u.device join person p on p.id = d.person
		where u.source = 'approval' and d.revoked_at = 0 and ` + a.scope(scope, "d.tenant") + ` order by u.since, d.id limit ` + a.add(limit)
	list, err := all(r.q, func(s scanner) (v AwaitingDevice, err error) {
		var since int64
		v.Device, err = scanDeviceAnd(s, &v.PersonName, &since)
		v.Since = at(since)
		return v, err
	}, query, a.list...)
	for i := 0; i < len(list) && err == nil; i++ {
		list[i].Device, err = withSuspensions(r.q, list[i].Device)
	}
	return list, err
}
