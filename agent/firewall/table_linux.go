package firewall

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ReplaceTable removes the table of that name, in the family inet, and lets f
// make it anew, in one transaction: no packet meets half of it. An f that adds
// nothing leaves no table. Without the rights for it, the error wraps
// fs.ErrPermission.
func ReplaceTable(name string, f func(*nftables.Conn, *nftables.Table)) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reaching the packet filter: %w", err)
	}
	t := anew(c, name)
	f(c, t)
	return failed(c.Flush())
}

// Clear removes the gateway's table, whoever has left it. That there is none is
// no error.
func Clear() error { return ReplaceTable(table, func(*nftables.Conn, *nftables.Table) {}) }

// anew removes a table within a transaction. The kernel refuses to remove what
// is not there; after an addition, which may find it there, it always is.
func anew(c *nftables.Conn, name string) *nftables.Table {
	t := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	c.AddTable(t)
	c.DelTable(t)
	return t
}

// failed says what failed, and if it was for want of rights.
func failed(err error) error {
	if err == nil {
		return nil
	}
	var first unix.Errno // one of many, if one thing is missing that many rules need
	if errors.As(err, &first) {
		err = first
	}
	switch {
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		err = fmt.Errorf("the kernel lacks a part of nftables: %w", err)
	}
	return fmt.Errorf("changing the packet filter: %w", err)
}
