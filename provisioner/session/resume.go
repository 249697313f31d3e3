package session

import (
	"context"
	"errors"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How a laptop that comes back goes on with the session that it has.

// resume gives an open session to a newer stream of its device. It gives
// nothing, and no error, if the session is no longer open.
func (s *Service) resume(ctx context.Context, actor provisioner.Actor, r OpenRequest) (opened Opened, err error) {
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		opened = Opened{}
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		ok, err := tx.ResumeSession(r.Resume, device.ID, r.Stream, tx.Now.Add(provisioner.Lease), r.Clock)
		if err != nil {
			return err
		}
		if !ok {
			if ok, err = resumeLeft(tx, device.ID, r.Resume); err == nil && ok {
				ok, err = tx.ResumeSession(r.Resume, device.ID, r.Stream, tx.Now.Add(provisioner.Lease), r.Clock)
			}
			if err != nil {
				return err
			}
		}
		if !ok {
			return endedIdle(tx, device, r.Resume)
		}
		if err := tx.NoteAgent(device.ID, r.AgentVersion); err != nil {
			return err
		}
		session, err := tx.OpenSessionOf(device.ID)
		if err != nil {
			return err
		}
		leaving, err := keepLeft(tx, device.ID, r.Leaving)
		if err != nil {
			return err
		}
		gateway, err := tx.Gateway(session.Gateway)
		if err != nil {
			return err
		}
		tenant, err := tx.Tenant(device.Tenant)
		if err != nil {
			return err
		}
		if session, err = withEnding(tx, tenant, device, session); err != nil {
			return err
		}
		standing, err := tx.Standing(device.Person, device.Tenant)
		if err != nil {
			return err
		}
		tunnel, err := s.tunnel(session, gateway.Gateway, tenant, standing)
		opened = Opened{Session: session, Tunnel: tunnel, Resumed: true, Site: tenant.Site, Leaving: leaving, Outdated: outdated(tenant.Policy.MinimumAgent, r.AgentVersion)}
		return err
	})
	return opened, err
}

// outdated is the minimum that a version falls short of; zero: it does not. One that goes on is not refused: it is told from
// when on there is no next session.
func outdated(minimum provisioner.MinimumAgent, version string) provisioner.MinimumAgent {
	if minimum.Outdated(version) {
		return minimum
	}
	return provisioner.MinimumAgent{}
}

// endedIdle refuses to go on where nobody worked: a laptop that has not heard of it
// would open another session by itself.
func endedIdle(tx *store.Writer, device provisioner.Device, id string) error {
	former, err := tx.Session(id)
	if errors.Is(err, store.ErrNone) || err == nil && (former.Device != device.ID || former.ClosedWhy != provisioner.CodeSessionIdle) {
		return nil
	}
	if err != nil {
		return err
	}
	return former.WhyClosed()
}
