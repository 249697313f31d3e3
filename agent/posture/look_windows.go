package posture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

func thisSystem(context.Context) (System, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return System{}, fmt.Errorf("reading which Windows this is: %w", err)
	}
	defer func() { _ = k.Close() }()
	return windowsSystem(valueOf(k, "CurrentBuildNumber"), valueOf(k, "EditionID")), nil
}

func firewallOn(context.Context) (Answer, error) {
	const own, policy = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\`, `SOFTWARE\Policies\Microsoft\WindowsFirewall\`
	var profiles []windowsFirewall
	for _, p := range []string{"DomainProfile", "StandardProfile", "PublicProfile"} {
		profiles = append(profiles, windowsFirewall{policy: machine(policy+p, "EnableFirewall"), own: machine(own+p, "EnableFirewall")})
	}
	const disabled = "4"
	return windowsFirewallOn(machine(`SYSTEM\CurrentControlSet\Services\MpsSvc`, "Start") == disabled, profiles), nil
}

// peopleAtScreens are those whose part of the registry is loaded: who is signed in.
func peopleAtScreens() []string {
	names, err := registry.USERS.ReadSubKeyNames(0)
	if err != nil {
		return nil
	}
	list := []string{}
	for _, sid := range names {
		person := strings.HasPrefix(sid, "S-1-5-21-") || strings.HasPrefix(sid, "S-1-12-1-")
		if person && !strings.HasSuffix(sid, "_Classes") {
			list = append(list, sid)
		}
	}
	slices.Sort(list)
	return list
}

// screenOf reads the settings of people who are signed in.
func screenOf(_ context.Context, people []string) (Screen, bool, error) {
	var w windowsScreens
	w.inactivity, _ = strconv.ParseUint(machine(`SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`, "InactivityTimeoutSecs"), 10, 64)
	for _, sid := range people {
		const own, policy = `\Control Panel\Desktop`, `\Software\Policies\Microsoft\Windows\Control Panel\Desktop`
		value := func(name string) string {
			if v := read(registry.USERS, sid+policy, name); v != "" {
				return v
			}
			return read(registry.USERS, sid+own, name)
		}
		w.accounts = append(w.accounts, windowsScreen{
			active: value("ScreenSaveActive"), secure: value("ScreenSaverIsSecure"), timeout: value("ScreenSaveTimeOut"), program: value("SCRNSAVE.EXE"),
		})
	}
	s, known := w.judge()
	return s, known, nil
}

func machine(path, name string) string { return read(registry.LOCAL_MACHINE, path, name) }

// read gives a value as text. Empty: there is none.
func read(root registry.Key, path, name string) string {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return ""
	}
	defer func() { _ = k.Close() }()
	return valueOf(k, name)
}

func valueOf(k registry.Key, name string) string {
	if n, _, err := k.GetIntegerValue(name); err == nil {
		return strconv.FormatUint(n, 10)
	}
	s, _, err := k.GetStringValue(name)
	if err != nil {
		return ""
	}
	return s
}

// propertyKey is PROPERTYKEY.
type propertyKey struct {
	format windows.GUID
	id     uint32
}

// shellItem is an IShellItem2: an object whose first word leads to its functions.
type shellItem struct{ functions *[17]uintptr }

// Of its functions those that are called, by their places.
const (
	shellItemRelease  = 2
	shellItemGetInt32 = 16
)

// diskEncrypted asks the shell for the protection of the system's drive: that anybody may read, and it needs no WMI.
func diskEncrypted(context.Context) (Answer, error) {
	runtime.LockOSThread() // COM belongs to a thread
	defer runtime.UnlockOSThread()
	if err := windows.CoInitializeEx(0, windows.COINIT_MULTITHREADED); err != nil && !errors.Is(err, syscall.Errno(1)) { // S_FALSE: it is already
		return Unknown, fmt.Errorf("preparing to ask for BitLocker: %w", err)
	}
	defer windows.CoUninitialize()
	drive, err := systemDrive()
	if err != nil {
		return Unknown, err
	}
	name, err := windows.UTF16PtrFromString("System.Volume.BitLockerProtection")
	if err != nil {
		return Unknown, err
	}
	var key propertyKey
	if err := result(windows.NewLazySystemDLL("propsys.dll").NewProc("PSGetPropertyKeyFromName"), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&key))); err != nil {
		return Unknown, fmt.Errorf("finding the property of BitLocker: %w", err)
	}
	// IShellItem2
	kind := windows.GUID{Data1: 0x7E9FB0D3, Data2: 0x919F, Data3: 0x4307, Data4: [8]byte{0xAB, 0x2E, 0x9B, 0x18, 0x60, 0x31, 0x0C, 0x93}}
	var item *shellItem
	if err := result(windows.NewLazySystemDLL("shell32.dll").NewProc("SHCreateItemFromParsingName"),
		uintptr(unsafe.Pointer(drive)), 0, uintptr(unsafe.Pointer(&kind)), uintptr(unsafe.Pointer(&item))); err != nil {
		return Unknown, fmt.Errorf("finding the system's drive: %w", err)
	}
	defer func() { _, _, _ = syscall.SyscallN(item.functions[shellItemRelease], uintptr(unsafe.Pointer(item))) }()
	var protection int32
	status, _, _ := syscall.SyscallN(item.functions[shellItemGetInt32], uintptr(unsafe.Pointer(item)), uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(&protection)))
	if int32(status) < 0 {
		return Unknown, fmt.Errorf("asking for BitLocker: %w", syscall.Errno(status))
	}
	return windowsDiskEncrypted(protection), nil
}

// systemDrive is where Windows lies, such as C:\.
func systemDrive() (*uint16, error) {
	dir, err := windows.GetSystemWindowsDirectory()
	if err != nil || len(dir) < 3 || dir[1] != ':' {
		return nil, fmt.Errorf("finding the system's drive: %w", errors.Join(err, errors.New("it has no letter")))
	}
	return windows.UTF16PtrFromString(dir[:2] + `\`)
}

// result calls a function that answers with an HRESULT.
func result(f *windows.LazyProc, args ...uintptr) error {
	if err := f.Find(); err != nil {
		return err
	}
	if status, _, _ := f.Call(args...); int32(status) < 0 {
		return syscall.Errno(status)
	}
	return nil
}

// OwnScreen is nil: the service reads people's settings itself, or nobody does.
func OwnScreen(context.Context) *Screen { return nil }
