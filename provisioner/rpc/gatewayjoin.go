package rpc

import (
	"log/slog"
	"net"
	"strconv"
	"strings"
	"unicode"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

type gatewayHandler struct {
	heimdrahtv1.UnimplementedGatewayServiceServer
	tenancy  *tenancy.Service
	sessions *session.Service
	hub      *watch.Hub
	contacts *watch.Contacts
	streams  *streams
	log      *slog.Logger
}

// listenPort is the UDP port of a gateway's endpoint, which was checked when
// it was declared.
func listenPort(endpoint string) uint32 {
	_, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// printable is a text from outside as a log may hold it.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
