package main

import (
	"os"
	"strconv"
)

// account is a user of this machine, as its system tells users apart: by a number, on Windows by a SID. Empty: nobody.
type account string

// root is the account that may do everything, on Linux and macOS.
const root account = "0"

// peer is somebody at an end of the socket.
type peer struct {
	account account
	// admin says that she may do on this machine what she likes: root; on Windows the system itself, and an
	// administrator whose program runs with an administrator's rights.
	admin bool
}

// unixPeer is the user of that number.
func unixPeer(uid int) peer {
	if uid < 0 {
		return peer{}
	}
	return peer{account: account(strconv.Itoa(uid)), admin: uid == 0}
}

// sudoer is the account behind sudo: the laptop is to be that user's, not root's. Nil: there is none.
func (a *app) sudoer() *account {
	if a.self.account != root {
		return nil
	}
	if uid, err := strconv.Atoi(a.env("SUDO_UID")); err == nil && uid > 0 {
		behind := unixPeer(uid).account
		return &behind
	}
	return nil
}

// savedOwner is the file that says whose laptop this is.
type savedOwner struct {
	UID *int `json:"uid,omitempty"`
	// SID is in its place on Windows.
	SID account `json:"sid,omitempty"`
}

// saved is the account as it is kept. A number stays one: an earlier version reads it.
func saved(of account) savedOwner {
	if uid, err := strconv.Atoi(string(of)); err == nil {
		return savedOwner{UID: &uid}
	}
	return savedOwner{SID: of}
}

func (s savedOwner) account() account {
	if s.UID != nil {
		return unixPeer(*s.UID).account
	}
	return s.SID
}

// standardWorld is what a process is given that a person started.
func standardWorld() world {
	return world{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, self: self()}
}
