package main

import (
	"context"
	"errors"
	"os/user"

	"golang.org/x/sys/windows"
)

// nameOf is the account itself, as a SID is given to nobody else after it. Empty: the system knows none such. That a domain cannot
// be asked is no sign of that.
func nameOf(_ context.Context, of account) (string, error) {
	sid, err := windows.StringToSid(string(of))
	if err != nil {
		return "", err
	}
	if _, _, _, err := sid.LookupAccount(""); errors.Is(err, windows.ERROR_NONE_MAPPED) {
		return "", nil
	}
	return string(of), nil
}

// accountOf finds an account by its name.
func accountOf(_ context.Context, name string) (account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return account(found.Uid), nil
}
