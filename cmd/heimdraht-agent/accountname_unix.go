//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"strings"
	"time"
)

// nameWithin bounds the search for an account's name, which may lead to a directory.
const nameWithin = 5 * time.Second

// nameOf is by which name the system knows an account. Empty: it knows none. Go by itself reads /etc/passwd; the accounts of
// directories (sssd, winbind) getent(1) knows.
func nameOf(ctx context.Context, of account) (string, error) {
	found, err := user.LookupId(string(of))
	if err == nil {
		return found.Username, nil
	}
	var unknown user.UnknownUserIdError
	if !errors.As(err, &unknown) {
		return "", fmt.Errorf("looking for the name of an account: %w", err)
	}
	name, _, err := getent(ctx, string(of))
	return name, err
}

// accountOf finds an account by its name.
func accountOf(ctx context.Context, name string) (account, error) {
	found, err := user.Lookup(name)
	if err == nil {
		return account(found.Uid), nil
	}
	if _, uid, asking := getent(ctx, name); asking == nil && uid != "" {
		return account(uid), nil
	}
	return "", err
}

// getent finds the name and number of an account by either of them. Empty: there is none such.
func getent(ctx context.Context, key string) (name, uid string, err error) {
	ctx, cancel := context.WithTimeout(ctx, nameWithin)
	defer cancel()
	line, err := exec.CommandContext(ctx, "getent", "passwd", "--", key).Output() //nolint:gosec // it is no option
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.As(err, &exit) && exit.ExitCode() == 2:
		return "", "", nil
	case err != nil:
		return "", "", fmt.Errorf("looking for an account: %w", err)
	}
	fields := strings.SplitN(string(line), ":", 4) // passwd(5)
	if len(fields) < 4 {
		return "", "", nil
	}
	return fields[0], fields[2], nil
}
