package main

import (
	"log/slog"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"
)

// restartWhenFailed has Windows start the service again whenever it ends by itself, also with a word (non-crash failures), unless
// somebody has said already what is to happen then. The service sees to it because the installer's maker has no words for it; so
// it holds however the service was made.
func restartWhenFailed(log *slog.Logger) {
	if err := setRecovery(); err != nil {
		log.Warn("could not tell Windows to start the service again when it fails", "error", err)
	}
}

func setRecovery() error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // it was asked only
	name, err := windows.UTF16PtrFromString(serviceName)
	if err != nil {
		return err
	}
	// Whoever asks for a restart must be allowed to start it.
	handle, err := windows.OpenService(manager, name, windows.SERVICE_QUERY_CONFIG|windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_START)
	if err != nil {
		return err
	}
	service := &mgr.Service{Name: serviceName, Handle: handle}
	defer service.Close() //nolint:errcheck // as above
	if stated, err := service.RecoveryActions(); err != nil || len(stated) > 0 {
		return err
	}
	err = service.SetRecoveryActions([]mgr.RecoveryAction{
		{Type: mgr.ServiceRestart, Delay: time.Second}, {Type: mgr.ServiceRestart, Delay: 5 * time.Second}, {Type: mgr.ServiceRestart, Delay: time.Minute},
	}, uint32((24 * time.Hour).Seconds()))
	if err != nil {
		return err
	}
	return service.SetRecoveryActionsOnNonCrashFailures(true)
}
