package usage

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// kept: Windows keeps whole names.
const kept = windows.MAX_PATH

func fold(name string) string { return strings.ToLower(name) }

// programs visits all that run, from one snapshot.
func programs(visit func(program)) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	defer func() { _ = windows.CloseHandle(snapshot) }()
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		visit(process{entry.ProcessID, windows.UTF16ToString(entry.ExeFile[:])})
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return fmt.Errorf("listing processes: %w", err)
	}
	return nil
}

type process struct {
	id   uint32
	name string
}

func (p process) is(w wanted, found func(string)) { w.whole(base(p.name), found) }

func (p process) account() string {
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, p.id)
	if err != nil {
		return ""
	}
	defer func() { _ = windows.CloseHandle(handle) }()
	var token windows.Token
	if err := windows.OpenProcessToken(handle, windows.TOKEN_QUERY, &token); err != nil {
		return ""
	}
	defer func() { _ = token.Close() }()
	user, err := token.GetTokenUser()
	if err != nil {
		return ""
	}
	return user.User.Sid.String()
}

func (p process) file() (path, mark string) {
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, p.id)
	if err != nil {
		return "", "" // it has ended, or is protected
	}
	defer func() { _ = windows.CloseHandle(handle) }()
	buffer := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(buffer))
	if err := windows.QueryFullProcessImageName(handle, 0, &buffer[0], &size); err != nil {
		return "", ""
	}
	path = windows.UTF16ToString(buffer[:size])
	info, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	return path, info.ModTime().String()
}

// versionOf is the version in a program's resources.
func versionOf(path string) string {
	size, err := windows.GetFileVersionInfoSize(path, nil)
	if err != nil || size == 0 {
		return ""
	}
	block := make([]byte, size)
	if err := windows.GetFileVersionInfo(path, 0, size, unsafe.Pointer(&block[0])); err != nil {
		return ""
	}
	var info *windows.VS_FIXEDFILEINFO
	length := uint32(unsafe.Sizeof(*info))
	if err := windows.VerQueryValue(unsafe.Pointer(&block[0]), `\`, unsafe.Pointer(&info), &length); err != nil || info == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%d", info.ProductVersionMS>>16, info.ProductVersionMS&0xffff, info.ProductVersionLS>>16, info.ProductVersionLS&0xffff)
}
