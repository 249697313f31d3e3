package wireguard

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// loadDriver looks at the driver's library and loads it, so that nothing else loads another one by the same name later.
// Nobody can exchange the file in between: it is held open without letting others write or rename it.
func loadDriver() error {
	path, err := driverPath()
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fmt.Errorf("looking at the driver: %w", err)
	}
	file, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return &DriverError{Problem: DriverMissing, Path: path, Cause: err}
	}
	defer windows.CloseHandle(file) //nolint:errcheck // it was read only
	signer, trust := signerOf(name, file)
	if err := judgeSigner(path, trust, signer); err != nil {
		return err
	}
	// It stays loaded for as long as the process runs; loading it again is one more reference.
	if _, err := windows.LoadLibraryEx(path, 0, windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR|windows.LOAD_LIBRARY_SEARCH_SYSTEM32); err != nil {
		return &DriverError{Problem: DriverRefused, Path: path, Cause: err}
	}
	return nil
}

func driverPath() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	var folders []string
	for _, id := range []*windows.KNOWNFOLDERID{windows.FOLDERID_ProgramFiles, windows.FOLDERID_ProgramFilesX64} {
		if folder, err := windows.KnownFolderPath(id, windows.KF_FLAG_DEFAULT); err == nil {
			folders = append(folders, folder)
		}
	}
	return driverBeside(program, folders)
}

// wintrust are the calls that golang.org/x/sys/windows has not.
type wintrust struct{ provider, signer, certificate *windows.LazyProc }

func loadWintrust() wintrust {
	library := windows.NewLazySystemDLL("wintrust.dll")
	return wintrust{
		provider: library.NewProc("WTHelperProvDataFromStateData"), signer: library.NewProc("WTHelperGetProvSignerFromChain"),
		certificate: library.NewProc("WTHelperGetProvCertFromChain"),
	}
}

// providerCertificate is the beginning of CRYPT_PROVIDER_CERT (wintrust.h).
type providerCertificate struct {
	_           uint32 // its size
	certificate *windows.CertContext
}

// signerOf asks Windows whether it trusts the file's Authenticode signature, and who made it: the name in the very
// certificate that was verified, whatever others lie in the file.
func signerOf(name *uint16, file windows.Handle) (signer string, trust error) {
	info := &windows.WinTrustFileInfo{Size: uint32(unsafe.Sizeof(windows.WinTrustFileInfo{})), FilePath: name, File: file}
	data := &windows.WinTrustData{
		Size: uint32(unsafe.Sizeof(windows.WinTrustData{})), UIChoice: windows.WTD_UI_NONE,
		// A laptop without a network could not ask whether a certificate was revoked.
		RevocationChecks: windows.WTD_REVOKE_NONE, ProvFlags: windows.WTD_CACHE_ONLY_URL_RETRIEVAL,
		UnionChoice: windows.WTD_CHOICE_FILE, FileOrCatalogOrBlobOrSgnrOrCert: unsafe.Pointer(info), StateAction: windows.WTD_STATEACTION_VERIFY,
	}
	trust = windows.WinVerifyTrustEx(windows.InvalidHWND, &windows.WINTRUST_ACTION_GENERIC_VERIFY_V2, data)
	if trust == nil {
		signer, trust = nameOf(data.StateData)
	}
	data.StateAction = windows.WTD_STATEACTION_CLOSE
	if err := windows.WinVerifyTrustEx(windows.InvalidHWND, &windows.WINTRUST_ACTION_GENERIC_VERIFY_V2, data); err != nil && trust == nil {
		trust = err
	}
	return signer, trust
}

func nameOf(state windows.Handle) (string, error) {
	w := loadWintrust()
	provider, _, _ := w.provider.Call(uintptr(state))
	if provider == 0 {
		return "", errors.New("the signature names nobody")
	}
	chain, _, _ := w.signer.Call(provider, 0, 0, 0)
	if chain == 0 {
		return "", errors.New("the signature names nobody")
	}
	first, _, _ := w.certificate.Call(chain, 0)
	if first == 0 {
		return "", errors.New("the signature has no certificate")
	}
	certificate := (*(**providerCertificate)(unsafe.Pointer(&first))).certificate
	size := windows.CertGetNameString(certificate, windows.CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, nil, nil, 0)
	if size == 0 {
		return "", errors.New("the signature's certificate has no name")
	}
	text := make([]uint16, size)
	windows.CertGetNameString(certificate, windows.CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, nil, &text[0], size)
	return windows.UTF16ToString(text), nil
}
