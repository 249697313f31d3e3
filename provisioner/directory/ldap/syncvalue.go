package ldap

import (
	"fmt"
	"slices"

	goldap "github.com/go-ldap/ldap/v3"
)

// What has happened to an entry (RFC 4533, section 2.3).
const (
	syncPresent = 0
	syncAdd     = 1
	syncModify  = 2
	syncDelete  = 3
)

// syncState is what comes with each entry.
type syncState struct {
	kind   int64
	id     [16]byte
	cookie []byte // may be empty
}

func syncStateOf(m message) (syncState, error) {
	control, ok := m.control(goldap.ControlTypeSyncState)
	if !ok {
		return syncState{}, fmt.Errorf("%w: an entry comes without its state", errNotOffered)
	}
	value, ok := control.want(tagSequence)
	kind, ok2 := value.number(tagEnumerated)
	id, ok3 := value.want(tagString)
	if !ok || !ok2 || !ok3 || len(id) != 16 {
		return syncState{}, errMalformed
	}
	cookie, _ := value.want(tagString)
	return syncState{kind: kind, id: [16]byte(id), cookie: slices.Clone(cookie)}, nil
}

// Kinds of what comes between entries (RFC 4533, section 2.5), by their tags.
const (
	syncNewCookie      = 0x80
	syncRefreshDelete  = 0xa1
	syncRefreshPresent = 0xa2
	syncIDSet          = 0xa3
)

// syncInfo is what comes between entries.
type syncInfo struct {
	kind   byte // zero: something that is not about synchronisation
	cookie []byte
	flag   bool // the refresh is done; of a set of ids: they have been deleted
	ids    [][16]byte
}

func syncInfoOf(m message) (syncInfo, error) {
	const name, content = 0x80, 0x81
	b := m.op
	if oid, ok := b.want(name); !ok || string(oid) != goldap.ControlTypeSyncInfo {
		return syncInfo{}, nil
	}
	raw, ok := b.want(content)
	kind, value, ok2 := raw.next()
	if !ok || !ok2 {
		return syncInfo{}, errMalformed
	}
	info := syncInfo{kind: kind, flag: kind != syncIDSet}
	if kind == syncNewCookie {
		info.cookie = slices.Clone(value)
		return info, nil
	}
	if cookie, ok := value.want(tagString); ok {
		info.cookie = slices.Clone(cookie)
	}
	if flag, ok := value.want(tagBoolean); ok {
		info.flag = len(flag) == 1 && flag[0] != 0
	}
	set, _ := value.want(tagSet)
	for len(set) > 0 {
		id, ok := set.want(tagString)
		if !ok || len(id) != 16 {
			return syncInfo{}, errMalformed
		}
		info.ids = append(info.ids, [16]byte(id))
	}
	return info, nil
}
