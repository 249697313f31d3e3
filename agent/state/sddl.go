package state

import (
	"slices"
	"strings"
)

// Windows has access lists in place of modes. They are judged here by their text (SDDL, as icacls and PowerShell's
// Get-Acl write it), where every system can test it.

// privileged are those who may look into anything on a machine anyway, by their short names and their SIDs: the system,
// administrators, and the installer of Windows' own parts, to whom its folders belong.
func privileged(sid string) bool {
	return slices.Contains([]string{
		"SY", "S-1-5-18", "BA", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
	}, sid)
}

// privateList is the access list of a private folder of a user's, which passes on to what is made in it. It belongs to
// administrators, or to the user if she is none.
func privateList(self string, admin bool) string {
	if admin {
		return "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	}
	return "O:" + self + "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;" + self + ")"
}

// strangersIn says whom besides the privileged and the user herself an access list lets in, and whose the folder is if it
// is neither's. Empty: nobody. A list that is not understood lets everybody in.
func strangersIn(list, self string) (owner string, others []string) {
	owner, entries, protected := parseSDDL(list)
	if owner == self || privileged(owner) {
		owner = ""
	} else if owner == "" {
		owner = "?"
	}
	if !protected {
		return owner, []string{"?"}
	}
	for _, e := range entries {
		// The creator of something in the folder is somebody who got in already.
		if e.allows && e.sid != self && !privileged(e.sid) && e.sid != "CO" && e.sid != "S-1-3-0" && !slices.Contains(others, e.sid) {
			others = append(others, e.sid)
		}
	}
	return owner, others
}

// entry is one of an access list.
type entry struct {
	allows bool
	sid    string
}

// parseSDDL reads owner and access list. understood is false if there is no list, which lets everybody in, or one that
// has anything else in it than entries.
func parseSDDL(text string) (owner string, entries []entry, understood bool) {
	if rest, ok := strings.CutPrefix(text, "O:"); ok {
		end := len(rest)
		for _, next := range []string{"G:", "D:", "S:"} {
			if i := strings.Index(rest, next); i >= 0 {
				end = min(end, i)
			}
		}
		owner = rest[:end]
	}
	_, rest, ok := strings.Cut(text, "D:")
	if !ok {
		return owner, nil, false
	}
	list, _, _ := strings.Cut(rest, "S:(")
	flags, list, ok := strings.Cut(list, "(")
	if strings.Trim(flags, "PAIR") != "" { // NO_ACCESS_CONTROL among others
		return owner, nil, false
	}
	if !ok {
		return owner, nil, true // an empty list lets nobody in
	}
	for _, part := range strings.Split(strings.TrimSuffix(list, ")"), ")(") {
		fields := strings.Split(part, ";")
		if len(fields) < 6 || fields[5] == "" {
			return owner, nil, false
		}
		// Only what is denied for certain is no way in: callback and object entries allow too.
		entries = append(entries, entry{allows: fields[0] != "D" && fields[0] != "OD", sid: strings.TrimRight(fields[5], ")")})
	}
	return owner, entries, true
}
