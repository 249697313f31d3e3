package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// translate turns what went wrong with a server into a fault that says what an administrator must do. What is
// an *directory.Error already stays.
func (d *Directory) translate(s *server, err error) *directory.Error {
	var known *directory.Error
	if errors.As(err, &known) {
		return known
	}
	if e := d.translateTLS(s, err); e != nil {
		return e
	}
	var answer *goldap.Error
	switch {
	case errors.Is(err, context.Canceled):
		return d.fault(directory.Unavailable, "the call was given up", "", context.Canceled)
	case !errors.As(err, &answer), answer.ResultCode >= goldap.ErrorNetwork:
		return d.fault(directory.Unavailable, s.url+" does not answer", "check that it runs and can be reached from here", err)
	}
	switch answer.ResultCode {
	case goldap.LDAPResultBusy, goldap.LDAPResultUnavailable, goldap.LDAPResultTimeLimitExceeded, goldap.LDAPResultOther:
		return d.fault(directory.Unavailable, s.url+" cannot serve at the moment", "look into its log", err)
	case goldap.LDAPResultSizeLimitExceeded, goldap.LDAPResultAdminLimitExceeded:
		return d.fault(directory.Misconfigured, s.url+" cut the answer short", "raise the server's size limit for the service account (paging does not lift it)", err)
	case goldap.LDAPResultConfidentialityRequired, goldap.LDAPResultStrongAuthRequired:
		return d.fault(directory.Misconfigured, s.url+" demands TLS", "remove `tls: none`, or use ldaps://", err)
	case goldap.LDAPResultInsufficientAccessRights:
		return d.fault(directory.Misconfigured, s.url+" does not let the service account search", "give it the right to read people and groups", err)
	}
	return d.fault(directory.Misconfigured, s.url+" refused a request", "look into its log", err)
}

// translateTLS returns nil if the error is not one of TLS.
func (d *Directory) translateTLS(s *server, err error) *directory.Error {
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	bad := func(detail, advice string) *directory.Error {
		return d.fault(directory.Misconfigured, detail, advice, err)
	}
	switch {
	case errors.Is(err, errStartTLSRefused):
		return bad(s.url+" refuses StartTLS", "use ldaps://; only if the line is otherwise protected, set `tls: none`")
	case errors.As(err, &unknown):
		return bad("the certificate of "+s.url+" comes from an authority that is not trusted here", "set ca_file to the certificate of the authority that issued it")
	case errors.As(err, &host):
		return bad("the certificate of "+s.url+" is for another name", "write the server's name as it stands in its certificate")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return bad("the certificate of "+s.url+" has expired or is not valid yet", "renew it, or check the clock of this machine")
	case errors.As(err, &verify):
		return bad("the certificate of "+s.url+" is not acceptable", "renew it")
	case errors.As(err, &record):
		return bad(s.url+" does not speak TLS on this port", "ldaps:// is usually port 636; use ldap:// for StartTLS")
	}
	return nil
}

// Errors of the password policy control (draft-behera-ldap-password-policy-10, section 6.2).
const (
	policyPasswordExpired = 0
	policyAccountLocked   = 1
	policyMustChange      = 2
)

// proof is what a directory said when a password was tried and found right.
type proof struct {
	// expired, mustChange and ended come from the answer itself. It is surer than the attributes, which the
	// service account may not be able to read, or which do not exist (OpenLDAP computes the age of passwords).
	expired, mustChange bool
	ended               directory.EndReason
	bound               bool // the bind succeeded
}

// refine corrects a status judged from attributes by what the bind said.
func (p proof) refine(s directory.Status) directory.Status {
	s.PasswordExpired = s.PasswordExpired || p.expired
	s.MustChangePassword = s.MustChangePassword || p.mustChange
	if s.Ended == "" {
		s.Ended = p.ended
	}
	if p.bound {
		s.SignInBlocked = false // the mark may outlast the lock; who got in is not locked out
	}
	return s
}

// judgeBind tells what the answer to a user's bind means: a proof, or an *directory.Error, or the error itself
// if it was no answer about the user.
func (d *Directory) judgeBind(result *goldap.SimpleBindResult, err error) (proof, error) {
	policy := int8(-1)
	if result != nil {
		for _, c := range result.Controls {
			if c, ok := c.(*goldap.ControlBeheraPasswordPolicy); ok {
				policy = c.Error
			}
		}
	}
	if err == nil {
		return proof{bound: true, mustChange: policy == policyMustChange, expired: policy == policyPasswordExpired}, nil
	}
	var answer *goldap.Error
	if !errors.As(err, &answer) {
		return proof{}, err
	}
	refuse := func(cause directory.Cause, detail string) (proof, error) {
		return proof{}, d.fault(cause, detail, "", err)
	}
	switch answer.ResultCode {
	case goldap.LDAPResultInvalidCredentials:
		switch policy {
		case policyPasswordExpired: // told only after the password was compared
			return proof{expired: true}, nil
		case policyAccountLocked:
			return refuse(directory.Locked, "the directory has locked the account")
		}
		return judgeActiveDirectory(answer, refuse)
	case goldap.LDAPResultInappropriateAuthentication:
		return refuse(directory.WrongPassword, "the account has no password")
	case goldap.LDAPResultNoSuchObject:
		return refuse(directory.UnknownLogin, "the account has just vanished")
	case goldap.LDAPResultConstraintViolation: // 389 Directory Server: too many wrong passwords
		return refuse(directory.Locked, "the directory has locked the account")
	case goldap.LDAPResultUnwillingToPerform: // 389 Directory Server: nsAccountLock
		return refuse(directory.Disabled, "the directory does not let the account in")
	}
	return proof{}, err
}

// judgeActiveDirectory reads the Windows error code in the diagnostic text of a refused bind. Active Directory
// and Samba compare the password before they look at anything but the lockout, so most codes prove it.
func judgeActiveDirectory(answer *goldap.Error, refuse func(directory.Cause, string) (proof, error)) (proof, error) {
	text := ""
	if answer.Err != nil {
		text = answer.Err.Error()
	}
	switch windowsCode(text) {
	case "532": // ERROR_PASSWORD_EXPIRED
		return proof{expired: true}, nil
	case "773": // ERROR_PASSWORD_MUST_CHANGE
		return proof{mustChange: true}, nil
	case "533": // ERROR_ACCOUNT_DISABLED
		return proof{ended: directory.EndDisabled}, nil
	case "701": // ERROR_ACCOUNT_EXPIRED
		return proof{ended: directory.EndExpired}, nil
	case "775": // ERROR_ACCOUNT_LOCKED_OUT, whatever the password
		return refuse(directory.Locked, "the directory has locked the account after wrong passwords")
	case "525": // ERROR_NO_SUCH_USER
		return refuse(directory.UnknownLogin, "the directory does not know the account")
	case "530", "531": // ERROR_INVALID_LOGON_HOURS, ERROR_INVALID_WORKSTATION
		return refuse(directory.NotPermitted, "the directory does not permit signing in at this hour or from this machine")
	}
	return refuse(directory.WrongPassword, "the password is wrong")
}

// windowsCode finds NNN in "... AcceptSecurityContext error, data NNN, v2580".
func windowsCode(text string) string {
	_, rest, found := strings.Cut(text, ", data ")
	if !found {
		return ""
	}
	code, _, found := strings.Cut(rest, ",")
	if !found {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(code))
}
