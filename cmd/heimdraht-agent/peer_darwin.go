package main

import "golang.org/x/sys/unix"

// peerUID is unix(4), LOCAL_PEERCRED, which getpeereid(3) asks too.
func peerUID(fd int) (int, error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(peer.Uid), nil
}
