package hostnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// former is a file as it was: missing, a symbolic link, or content.
type former struct {
	Missing bool        `json:"missing,omitempty"`
	Link    string      `json:"link,omitempty"`
	Content string      `json:"content,omitempty"` // of a link: of what it points to
	Mode    fs.FileMode `json:"mode,omitempty"`
	UID     int         `json:"uid,omitempty"`
	GID     int         `json:"gid,omitempty"`
}

// readFormer reads a file. A link into nowhere has no content.
func readFormer(path string) (former, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return former{Missing: true}, nil
	}
	if err != nil {
		return former{}, err
	}
	f := former{Mode: info.Mode().Perm()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(stat.Uid), int(stat.Gid)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if f.Link, err = os.Readlink(path); err != nil {
			return former{}, err
		}
	}
	content, err := os.ReadFile(path)
	dangling := f.Link != "" && errors.Is(err, fs.ErrNotExist)
	if err != nil && !dangling {
		return former{}, err
	}
	f.Content = string(content)
	return f, nil
}

// writeResolvConf puts our resolv.conf in the place of the former one, after that is safe in the journal.
func (h *Host) writeResolvConf(want DNS) error {
	if h.options.StateDir == "" {
		return errors.New("there is no state directory to keep the former file in")
	}
	path := h.options.ResolvConf
	now, err := readFormer(path)
	if err != nil {
		return err
	}
	if !isOurs([]byte(now.Content)) {
		// Also if we wrote it before and somebody else has written it since, as DHCP clients do: theirs is newer.
		next := h.done
		next.ResolvConf = &now
		if err := h.record(next); err != nil {
			return err
		}
	} else if h.done.ResolvConf == nil {
		return fmt.Errorf("%s is from an earlier run whose journal is gone: write the file of this host anew", path)
	}
	content := composeResolvConf(want, parseResolvConf([]byte(h.done.ResolvConf.Content)))
	if now.Content == string(content) && now.Link == "" {
		return nil
	}
	// Everybody must be able to read it, whatever the former one was.
	return replaceOrRewrite(path, content, 0o644)
}

// restoreResolvConf brings the former file back, unless somebody else has written another one since.
func (h *Host) restoreResolvConf() error {
	path, before := h.options.ResolvConf, h.done.ResolvConf
	if before == nil {
		return nil // killed before anything was written
	}
	now, err := readFormer(path)
	if err != nil {
		return err
	}
	if !isOurs([]byte(now.Content)) {
		return nil
	}
	if before.Missing {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", path, err)
		}
		return nil
	}
	if before.Link != "" {
		err = replaceByLink(path, before.Link)
	} else {
		err = replaceOrRewrite(path, []byte(before.Content), before.Mode)
	}
	if err != nil {
		return err
	}
	if before.UID == os.Geteuid() && before.GID == os.Getegid() {
		return nil
	}
	if err := os.Lchown(path, before.UID, before.GID); err != nil {
		// It says what it said, and whoever may read it may still: no reason to leave all else as it is.
		h.options.Logger.Warn("could not give resolv.conf back to its owner", "file", path, "error", err)
	}
	return nil
}

func replaceByLink(path, target string) error {
	temporary := path + ".heimdraht"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// replaceOrRewrite replaces the file at one blow where that can be done. It cannot where the file is a mount of its
// own, as in containers and in `ip netns exec`, or its directory is read-only; there it is written in place.
func replaceOrRewrite(path string, content []byte, mode fs.FileMode) error {
	err := replaceFile(path, content, mode)
	fixed := errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES)
	if !fixed {
		return err
	}
	if rewriting := os.WriteFile(path, content, mode); rewriting != nil {
		return errors.Join(err, rewriting)
	}
	return nil
}
