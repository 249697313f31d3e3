package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// runService runs the program as a service, if Windows has started it as one. What it would say to a person or a journal
// goes into the event log.
func runService(args []string) (status int, isService bool) {
	isService, err := svc.IsWindowsService()
	if err != nil || !isService {
		return 0, false
	}
	log, err := eventlog.Open(serviceName)
	if err != nil {
		return exitFailed, true // there is nobody to tell
	}
	defer log.Close() //nolint:errcheck // each entry was written when it was made
	s := &windowsService{args: args, log: log}
	if err := svc.Run(serviceName, s); err != nil {
		write(log, slog.LevelError, fmt.Sprintf("running as a service: %v", err))
		return exitFailed, true
	}
	return s.status, true
}

type windowsService struct {
	args   []string
	log    *eventlog.Log
	status int
}

// Execute runs the daemon until it ends or is to end. A daemon that ends by itself has failed, so that Windows starts it
// again as it was told to.
func (s *windowsService) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asleep, signed := make(chan struct{}, 1), make(chan struct{}, 1)
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		write(s.log, slog.LevelError, fmt.Sprintf("running as a service: %v", err))
		return true, exitFailed
	}
	defer nothing.Close()
	w := world{
		in: nothing, out: io.Discard, err: faultWriter{s.log}, env: os.Getenv, self: self(), resumed: asleep, logins: signed,
		handler: func(level slog.Leveler) slog.Handler { return newEventHandler(s.log, level) },
	}
	restartWhenFailed(slog.New(w.handler(slog.LevelInfo)))
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, s.args, w) }()

	const accepted = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPowerEvent | svc.AcceptSessionChange
	changes <- svc.Status{State: svc.Running, Accepts: accepted}
	for {
		select {
		case s.status = <-ended:
			if s.status == exitDone && ctx.Err() == nil {
				s.status = exitFailed
			}
			changes <- svc.Status{State: svc.StopPending}
			return s.status != exitDone, uint32(s.status)
		case request := <-requests:
			if request.Cmd == svc.Interrogate {
				changes <- request.CurrentStatus
				continue
			}
			switch newsOf(uint32(request.Cmd), request.EventType) {
			case stop:
				// The session is closed and the tunnel taken away first, for which Windows is asked to wait.
				changes <- svc.Status{State: svc.StopPending, WaitHint: uint32(downWithin.Milliseconds())}
				cancel()
			case resumed:
				poke(asleep)
			case logins:
				poke(signed)
			case noNews:
			}
		}
	}
}
