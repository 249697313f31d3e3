package ca

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Kind is the kind of holder of a client certificate.
type Kind string

// Who holds client certificates.
const (
	KindDevice  Kind = "device"
	KindGateway Kind = "gateway"
)

// Identity is who the holder of a client certificate is.
type Identity struct {
	Kind   Kind
	Tenant string // of a device; a gateway has none
	ID     string // a device's id, a gateway's name
	// Generation rises when keys are replaced, from 1: of several certificates
	// of one device only those of its present generation are good.
	Generation int64
}

// ErrIdentity says that something is not the URI of a device or a gateway.
var ErrIdentity = errors.New("not the identity of a device or a gateway")

// segmentLimit bounds each part of an identity, as host names are (RFC 1035).
const segmentLimit = 63

// URI is the identity within an instance. Errors wrap ErrIdentity.
func (id Identity) URI(instance string) (*url.URL, error) {
	path := "/gateway/" + id.ID
	if id.Kind == KindDevice {
		path = "/tenant/" + id.Tenant + "/device/" + id.ID
	}
	u := &url.URL{Scheme: "spiffe", Host: instance, Path: path + "/generation/" + strconv.FormatInt(id.Generation, 10)}
	// What would not read back as this identity is none: one rule for both ways.
	back, from, err := ParseIdentity(u.String())
	if err != nil {
		return nil, err
	}
	if back != id || from != instance {
		return nil, fmt.Errorf("%+v: %w", id, ErrIdentity)
	}
	return u, nil
}

// ParseIdentity reads a URI, in exactly the form that Identity.URI gives it, and
// tells the instance as well. Errors wrap ErrIdentity.
func ParseIdentity(uri string) (id Identity, instance string, err error) {
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok {
		return Identity{}, "", identityError(uri)
	}
	part := strings.Split(rest, "/")
	switch {
	case len(part) == 7 && part[1] == "tenant" && part[3] == "device" && part[5] == "generation":
		id = Identity{Kind: KindDevice, Tenant: part[2], ID: part[4]}
	case len(part) == 5 && part[1] == "gateway" && part[3] == "generation":
		id = Identity{Kind: KindGateway, ID: part[2]}
	default:
		return Identity{}, "", identityError(uri)
	}
	for _, p := range part {
		if !isSegment(p) {
			return Identity{}, "", identityError(uri)
		}
	}
	number := part[len(part)-1]
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64 || number[0] == '0' {
		return Identity{}, "", identityError(uri)
	}
	id.Generation = int64(n)
	return id, part[0], nil
}

func identityError(uri string) error {
	const most = 200
	if len(uri) > most {
		uri = uri[:most] + "…"
	}
	return fmt.Errorf("%q: %w", uri, ErrIdentity)
}

// isSegment reports whether s can be an instance, a tenant, a name or an id.
// The SPIFFE ID standard allows more; our names need no more.
func isSegment(s string) bool {
	return s != "" && len(s) <= segmentLimit && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
