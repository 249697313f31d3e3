package memory

import (
	"crypto/sha1" //nolint:gosec // {SSHA} is the form in which LDIF texts carry passwords
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// verdict is what comes of trying a password. Its zero value is a right one with nothing to add.
type verdict struct {
	cause   directory.Cause // empty: the password is proven
	refused bool            // proven, but a real directory refuses the bind all the same
}

// try compares a password and answers as the flavour does: some look at locks first, some at the password.
func (d *Directory) try(e *entry, password string, s directory.Status) verdict {
	right := password != "" && matches(e.attributes["userpassword"], password)
	switch d.flavour.Name {
	case directory.ActiveDirectory:
		switch {
		case s.SignInBlocked:
			return verdict{cause: directory.Locked}
		case !right:
			return verdict{cause: directory.WrongPassword}
		}
		return verdict{refused: s.Ended != "" || s.PasswordExpired || s.MustChangePassword}
	case directory.DirectoryServer:
		if s.Ended == directory.EndDisabled {
			return verdict{cause: directory.Disabled}
		}
	case directory.OpenLDAP, directory.Univention:
		if s.SignInBlocked || s.Ended == directory.EndLocked {
			return verdict{cause: directory.Locked}
		}
	}
	if !right {
		return verdict{cause: directory.WrongPassword}
	}
	return verdict{}
}

// refine: who got in is not locked out, whatever marks remain.
func (v verdict) refine(s directory.Status) directory.Status {
	s.SignInBlocked = s.SignInBlocked && v.refused
	return s
}

func matches(stored []string, password string) bool {
	for _, s := range stored {
		if hash, ok := strings.CutPrefix(s, "{SSHA}"); ok {
			raw, err := base64.StdEncoding.DecodeString(hash)
			if err != nil || len(raw) < sha1.Size {
				continue
			}
			sum := sha1.Sum(append([]byte(password), raw[sha1.Size:]...)) //nolint:gosec // see the import
			if subtle.ConstantTimeCompare(sum[:], raw[:sha1.Size]) == 1 {
				return true
			}
			continue
		}
		// Any other scheme is one we cannot compare, and must not be taken for the password itself.
		if !strings.HasPrefix(s, "{") && subtle.ConstantTimeCompare([]byte(s), []byte(password)) == 1 {
			return true
		}
	}
	return false
}
