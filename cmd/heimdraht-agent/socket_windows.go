package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// self is who this process is.
func self() peer {
	who, err := peerOf(windows.GetCurrentProcessToken(), 0)
	if err != nil {
		return peer{} // who may nothing
	}
	return who
}

// peerOf is whose a token is. Membership is asked of a token for impersonation; zero: of the thread's own.
func peerOf(token, membership windows.Token) (peer, error) {
	user, err := token.GetTokenUser()
	if err != nil {
		return peer{}, fmt.Errorf("looking whose a token is: %w", err)
	}
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return peer{}, fmt.Errorf("looking for the administrators: %w", err)
	}
	// One whose program does not run elevated has the group for being refused only, which is no membership.
	admin, err := membership.IsMember(administrators)
	if err != nil {
		return peer{}, fmt.Errorf("looking whether a user is an administrator: %w", err)
	}
	return peer{account: account(user.User.Sid.String()), admin: admin || user.User.Sid.IsWellKnown(windows.WinLocalSystemSid)}, nil
}

// listen opens the pipe. One that another program has is not disturbed.
func listen(_ context.Context, path string) (net.Listener, error) {
	if !isPipe(path) {
		return nil, socketUnusable(path, errors.New("it is no named pipe, which begins with "+pipePrefix))
	}
	l, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: pipeDescriptor(self()), InputBufferSize: 64 << 10, OutputBufferSize: 64 << 10})
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED), errors.Is(err, windows.ERROR_ALREADY_EXISTS), errors.Is(err, windows.ERROR_FILE_EXISTS):
		return nil, daemonRunning(path)
	case err != nil:
		return nil, socketUnusable(path, err)
	}
	return l, nil
}

// admit does nothing: a pipe keeps the rights that it was made with, which let people talk, and each call is looked at.
func admit(string, account, account) error { return nil }

// dialDaemon connects a command to the daemon, which may ask who it is and nothing in its name.
func dialDaemon(ctx context.Context, path string) (net.Conn, error) {
	const rights = 0x12019b // as in pipeRights
	return winio.DialPipeAccessImpLevel(ctx, path, rights, winio.PipeImpLevelIdentification)
}

// handleOf is the pipe of a connection.
func handleOf(conn net.Conn) (windows.Handle, error) {
	pipe, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return 0, errors.New("looking who calls: it is no named pipe")
	}
	return windows.Handle(pipe.Fd()), nil
}

// callerOf is who calls the daemon, by the token that the caller connected with. The number of the calling process, which
// Windows tells as well, is the caller's own to state, and may be another one's by the time it is looked at.
func callerOf(conn net.Conn) (who peer, err error) {
	handle, err := handleOf(conn)
	if err != nil {
		return peer{}, err
	}
	runtime.LockOSThread() // what follows is the thread's
	impersonate := windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient")
	if done, _, err := impersonate.Call(uintptr(handle)); done == 0 {
		runtime.UnlockOSThread()
		return peer{}, fmt.Errorf("looking who calls: %w", err)
	}
	defer func() {
		// A thread that cannot become itself again is not unlocked, so that it ends with its goroutine.
		if back := windows.RevertToSelf(); back != nil {
			who, err = peer{}, errors.Join(err, fmt.Errorf("looking who calls: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	var token windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &token); err != nil {
		return peer{}, fmt.Errorf("looking who calls: %w", err)
	}
	defer token.Close() //nolint:errcheck // it was read only
	return peerOf(token, token)
}

// daemonOf is who answers a command: whoever made the pipe.
func daemonOf(conn net.Conn) (peer, error) {
	handle, err := handleOf(conn)
	if err != nil {
		return peer{}, err
	}
	descriptor, err := windows.GetSecurityInfo(handle, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return peer{}, fmt.Errorf("looking who answers: %w", err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return peer{}, fmt.Errorf("looking who answers: %w", err)
	}
	return pipeOwner(account(owner.String())), nil
}
