package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// freeSocket is where a daemon of the tests can listen.
func freeSocket(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`%sheimdraht-test-%d`, pipePrefix, time.Now().UnixNano())
}

// TestPipeTellsWhoCalls: both ends see the user who runs this test.
func TestPipeTellsWhoCalls(t *testing.T) {
	path := freeSocket(t)
	l, err := listen(t.Context(), path)
	check(t, err)
	defer l.Close()
	if _, err := listen(t.Context(), path); !errors.Is(err, daemonRunning(path)) {
		t.Errorf("a second daemon: %v", err)
	}
	heard := make(chan peer, 1)
	failed := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_, err = conn.Read(make([]byte, 1))
		}
		var who peer
		if err == nil {
			who, err = callerOf(conn)
		}
		heard <- who
		failed <- err
	}()
	conn, err := dialDaemon(t.Context(), path)
	check(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	check(t, err)
	who := <-heard
	check(t, <-failed)
	t.Logf("the caller is %+v, this is %+v", who, self())
	if who != self() || who.account == "" {
		t.Errorf("the caller is %+v, want %+v", who, self())
	}
	daemon, err := daemonOf(conn)
	check(t, err)
	if !daemon.admin && daemon.account != self().account {
		t.Errorf("the pipe is %+v's", daemon)
	}
}

func TestNoPipe(t *testing.T) {
	if _, err := listen(t.Context(), `C:\agent.sock`); !errors.Is(err, &control.Problem{Code: codeSocketUnusable}) {
		t.Errorf("a file: %v", err)
	}
}
