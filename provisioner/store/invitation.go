package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

const invitationColumns = `i.id, i.tenant, i.person, i.serial_number, i.device_name, i.invited_by, i.created_at, i.expires_at, i.ended_at, i.ended, i.device, i.handed_over `

func scanInvitation(s scanner) (provisioner.Invitation, error) { return scanInvitationAnd(s) }

func scanInvitationAnd(s scanner, more ...any) (i provisioner.Invitation, err error) {
	var created, expires, ended int64
	err = s.Scan(append([]any{&i.ID, &i.Tenant, &i.Person, &i.SerialNumber, &i.DeviceName, &i.InvitedBy, &created, &expires, &ended, &i.Ended, &i.Device, &i.HandedOver}, more...)...)
	i.CreatedAt, i.ExpiresAt, i.EndedAt = at(created), at(expires), at(ended)
	return i, err
}

// Invitation finds the invitation of a token, open or not; ErrNone if there is
// none.
func (r *Reader) Invitation(token string) (provisioner.Invitation, error) {
	return one(r.q, scanInvitation, `select `+invitationColumns+`from invitation i where i.token = $1`, hashToken(token))
}

// InvitationIn reads an invitation in scope by its id; ErrNone if there is none.
func (r *Reader) InvitationIn(scope provisioner.Scope, id string) (InvitedPerson, error) {
	a := new(args)
	where := `where i.id = ` + a.add(id) + ` and ` + a.scope(scope, "i.tenant")
	return one(r.q, scanInvited, selectInvited+where, a.list...)
}

// InvitedPerson is an invitation with whose it is.
type InvitedPerson struct {
	provisioner.Invitation

	Login, Name string
}

const selectInvited = `select ` + invitationColumns + `, p.login, p.display_name from invitation i join person p on p.id = i.person `

func scanInvited(s scanner) (v InvitedPerson, err error) {
	v.Invitation, err = scanInvitationAnd(s, &v.Login, &v.Name)
	return v, err
}

// Invitations lists invitations in scope with ids above after, by id, at most
// limit. open leaves out those that are over at now.
func (r *Reader) Invitations(scope provisioner.Scope, open bool, now time.Time, after string, limit int) ([]InvitedPerson, error) {
	a := new(args)
	where := `where i.id > ` + a.add(after) + ` and ` + a.scope(scope, "i.tenant")
	if open {
		where += ` and i.ended_at = 0 and i.expires_at > ` + a.add(ms(now))
	}
	return all(r.q, scanInvited, selectInvited+where+` order by i.id limit `+a.add(limit), a.list...)
}

// AddInvitation keeps an invitation with the hash of its token. An open one of
// the same person for the same laptop is replaced.
func (w *Writer) AddInvitation(token string, i provisioner.Invitation) error {
	if err := run(w.q, `update invitation set ended_at = $1, ended = $2 where tenant = $3 and person = $4 and serial_number = $5 and ended_at = 0`,
		ms(w.Now), string(provisioner.InvitationReplaced), i.Tenant, i.Person, i.SerialNumber); err != nil {
		return err
	}
	return run(w.q, `insert into invitation (id, token, tenant, person, serial_number, device_name, invited_by, created_at, expires_at, ended_at, ended, device, handed_over)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', '', $10)`,
		i.ID, hashToken(token), i.Tenant, i.Person, i.SerialNumber, i.DeviceName, i.InvitedBy, ms(i.CreatedAt), ms(i.ExpiresAt), i.HandedOver)
}

// WithdrawInvitations ends the open invitations of a tenant for a laptop, and those
// of a person for any laptop, and tells how many. Empty: none.
func (w *Writer) WithdrawInvitations(tenant, serial, person string) (int64, error) {
	return changed(w.q, `update invitation set ended_at = $1, ended = $2 where tenant = $3 and ended_at = 0
		and ((serial_number = $4 and serial_number <> '') or (person = $5 and serial_number = ''))`,
		ms(w.Now), string(provisioner.InvitationWithdrawn), tenant, serial, person)
}

// HandedOver lists the open invitations by which a device is handed over.
func (r *Reader) HandedOver(tenant, device string) ([]InvitedPerson, error) {
	return all(r.q, scanInvited, selectInvited+`where i.tenant = $1 and i.handed_over = $2 and i.ended_at = 0 order by i.id`, tenant, device)
}

// EndInvitation ends an open invitation; false if it was over. device is the one
// that was enrolled with it, if that is its end.
func (w *Writer) EndInvitation(id string, how provisioner.InvitationEnd, device string) (bool, error) {
	n, err := changed(w.q, `update invitation set ended_at = $1, ended = $2, device = $3 where id = $4 and ended_at = 0 and expires_at > $5`,
		ms(w.Now), string(how), device, id, ms(w.Now))
	return n > 0, err
}

// ForgetInvitations deletes those that expired before t, whether they were used
// before or not.
func (w *Writer) ForgetInvitations(t time.Time) error {
	return run(w.q, `delete from invitation where expires_at < $1`, ms(t))
}
