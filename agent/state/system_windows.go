package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

var errLocked = errors.New("locked")

// lockFile takes the file for this process; the system lets go of it however
// the process ends.
func lockFile(f *os.File) error {
	const all = ^uint32(0)
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, all, all, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// myself is the SID of the user this process runs as, and whether she is an
// administrator with an administrator's rights, or the system.
func myself() (sid string, admin bool, err error) {
	token := windows.GetCurrentProcessToken()
	user, err := token.GetTokenUser()
	if err != nil {
		return "", false, err
	}
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return "", false, err
	}
	admin, err = windows.Token(0).IsMember(administrators)
	return user.User.Sid.String(), admin || user.User.Sid.IsWellKnown(windows.WinLocalSystemSid), err
}

// makeDir makes the folder, and those above it that are missing, with an access
// list of their own: what ProgramData passes on lets every user look in.
func makeDir(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: windows.ERROR_DIRECTORY}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if above := filepath.Dir(path); above != path {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	self, admin, err := myself()
	if err != nil {
		return err
	}
	descriptor, err := windows.SecurityDescriptorFromString(privateList(self, admin))
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	attributes := &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: descriptor}
	if err := windows.CreateDirectory(name, attributes); err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// private refuses a folder into which others can look, or that another user
// could exchange because she owns it or one above it.
func private(path string) error {
	self, admin, err := myself()
	if err != nil {
		return unwritable(path, err)
	}
	mend := fmt.Sprintf(`icacls "%s" /setowner *S-1-5-32-544 /t && icacls "%s" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F /t`, path, path)
	if !admin {
		mend = fmt.Sprintf(`icacls "%s" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *%s:(OI)(CI)F /t`, path, self)
	}
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		list, err := accessList(at)
		if err != nil {
			return unwritable(path, err)
		}
		owner, others := strangersIn(list, self)
		switch {
		case owner != "":
			return &notPrivate{path, fmt.Sprintf("%s belongs to %s", at, owner), mend}
		case at == filepath.Clean(path) && len(others) > 0:
			return &notPrivate{path, "these may enter it: " + strings.Join(others, ", "), mend}
		case filepath.Dir(at) == at:
			return nil
		}
	}
}

// Trusted refuses a file that belongs to another user than this one, an
// administrator or the system: in ProgramData every user can make files.
func Trusted(path string) error {
	self, _, err := myself()
	if err != nil {
		return unwritable(path, err)
	}
	list, err := accessList(path)
	if err != nil {
		return err
	}
	if owner, _ := strangersIn(list, self); owner != "" {
		return fmt.Errorf("%w: it belongs to %s", ErrNotPrivate, owner)
	}
	return nil
}

func accessList(path string) (string, error) {
	descriptor, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", &fs.PathError{Op: "reading the access list of", Path: path, Err: err}
	}
	return descriptor.String(), nil
}

// syncDir has nothing to do: NTFS journals its names, and directories cannot
// be forced to disk.
func syncDir(string) error { return nil }
