//go:build !linux

package testprocess

// start starts a child. A test binary that is killed leaves it behind: only
// Linux can tie the two.
func (p *Process) start() error {
	if err := p.cmd.Start(); err != nil {
		close(p.done)
		return err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // it is killed: that it says so is no news
	}()
	return nil
}

// stopped cannot be seen here, so the signal's word is taken for it.
func (p *Process) stopped() bool { return true }

// shutdown does nothing: servers of tests run on Linux.
func shutdown(uintptr) {}
