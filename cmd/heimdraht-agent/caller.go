package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// callWithin is longer than the daemon takes for anything.
const callWithin = 90 * time.Second

// caller is a command's side of the socket.
type caller struct {
	socket string
	self   peer
	// meant is the account for which an administrator asks, empty: her own; and why there is none.
	meant   account
	unmeant error
	// transport is the way to the daemon. Nil: the socket.
	transport http.RoundTripper
}

func (a *app) daemon(ctx context.Context) *caller {
	c := &caller{socket: a.socketPath(), self: a.self}
	c.meant, c.unmeant = a.forWhom(ctx)
	return c
}

func (c *caller) status(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodGet, statusPath+"?language="+string(l), nil)
}

// why is status with what the control plane says, which is asked first.
func (c *caller) why(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodGet, whyPath+"?language="+string(l), nil)
}

func (c *caller) reported(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodGet, reportedPath+"?language="+string(l), nil)
}

// open asks for a way into the pages.
func (c *caller) open(ctx context.Context, l speech.Language) (page.Invitation, error) {
	got, err := c.call(ctx, http.MethodPost, openPath, wishCall{Language: string(l), Screen: posture.OwnScreen(ctx)})
	if err == nil && got.Invitation == nil {
		err = daemonSilent(errors.New("the answer leads to no page"))
	}
	if err != nil {
		return page.Invitation{}, err
	}
	return *got.Invitation, nil
}

func (c *caller) up(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodPost, upPath, wishCall{Language: string(l), Screen: posture.OwnScreen(ctx)})
}

// here says that the person is there although nothing is transferred.
func (c *caller) here(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodPost, herePath, wishCall{Language: string(l)})
}

func (c *caller) screen(ctx context.Context, s *posture.Screen) error {
	_, err := c.call(ctx, http.MethodPost, screenPath, wishCall{Screen: s})
	return err
}

func (c *caller) down(ctx context.Context, l speech.Language) (*answer, error) {
	return c.call(ctx, http.MethodPost, downPath, wishCall{Language: string(l)})
}

func (c *caller) enrol(ctx context.Context, call enrolCall) (*answer, error) {
	got, err := c.call(ctx, http.MethodPost, enrolPath, call)
	if err == nil && got.Enrolled == nil {
		return nil, daemonSilent(errors.New("the answer says nothing of the enrolment"))
	}
	return got, err
}

func (c *caller) code(ctx context.Context, call codeCall) (*endpoint.Waiting, error) {
	got, err := c.call(ctx, http.MethodPost, codePath, call)
	if err == nil && got.Waiting == nil {
		return nil, daemonSilent(errors.New("the answer names no code"))
	}
	if err != nil {
		return nil, err
	}
	return got.Waiting, nil
}

// await calls until the laptop is enrolled, or refused.
func (c *caller) await(ctx context.Context, call codeCall) (*answer, error) {
	for {
		got, err := c.call(ctx, http.MethodPost, awaitPath, call)
		if err != nil || got.Enrolled != nil {
			return got, err
		}
	}
}

func (c *caller) again(ctx context.Context, call againCall) (*answer, error) {
	got, err := c.call(ctx, http.MethodPost, againPath, call)
	if err == nil && got.SignedIn == nil {
		return nil, daemonSilent(errors.New("the answer says nothing of the sign-in"))
	}
	return got, err
}

func (c *caller) beginFactor(ctx context.Context, call factorCall) (*endpoint.NewFactor, error) {
	got, err := c.call(ctx, http.MethodPost, beginPath, call)
	if err == nil && got.Factor == nil {
		err = daemonSilent(errors.New("the answer says nothing of the second factor"))
	}
	if err != nil {
		return nil, err
	}
	return got.Factor, nil
}

func (c *caller) confirmFactor(ctx context.Context, call factorCall) (recovery []string, err error) {
	got, err := c.call(ctx, http.MethodPost, factorPath, call)
	if err != nil {
		return nil, err
	}
	return got.RecoveryCodes, nil
}

func (c *caller) rules(ctx context.Context, call rulesCall) (*answer, error) {
	got, err := c.call(ctx, http.MethodPost, rulesPath, call)
	if err == nil && got.Rules == nil {
		return nil, daemonSilent(errors.New("the answer says nothing of the house rules"))
	}
	return got, err
}

// call asks the daemon. Errors are *control.Problem, or that of the context.
func (c *caller) call(ctx context.Context, method, path string, call any) (*answer, error) {
	if c.unmeant != nil {
		return nil, c.unmeant
	}
	bounded, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	got, err := c.exchange(bounded, method, path, call)
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, daemonMissing()
	case errors.Is(err, fs.ErrPermission):
		return nil, notYours()
	}
	return nil, err
}

func (c *caller) exchange(ctx context.Context, method, path string, call any) (*answer, error) {
	var body bytes.Buffer
	if call != nil {
		if err := json.NewEncoder(&body).Encode(call); err != nil {
			return nil, fmt.Errorf("writing the call: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, &body)
	if err != nil {
		return nil, fmt.Errorf("writing the call: %w", err)
	}
	if c.meant != "" {
		request.Header.Set(accountHeader, string(c.meant))
	}
	client := &http.Client{Transport: c.transport}
	if c.transport == nil {
		client.Transport = &http.Transport{DialContext: c.dial, DisableKeepAlives: true}
	}
	response, err := client.Do(request)
	if err != nil {
		var p interface{ Is(error) bool }
		if errors.As(err, &p) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		return nil, daemonSilent(err)
	}
	defer func() { _ = response.Body.Close() }()
	var got answer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&got); err != nil {
		return nil, daemonSilent(err)
	}
	if got.Problem != nil {
		return nil, got.Problem.problem()
	}
	if got.Status == nil {
		return nil, daemonSilent(errors.New("the answer is empty"))
	}
	return &got, nil
}

// dial connects, and looks who listens before anything is sent: the call may carry a password.
func (c *caller) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := dialDaemon(ctx, c.socket)
	if err != nil {
		return nil, err
	}
	daemon, err := daemonOf(conn)
	if err == nil && !daemon.admin && (daemon.account == "" || daemon.account != c.self.account) {
		err = daemonForeign()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
