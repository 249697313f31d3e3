//go:build unix

package sambatest

import (
	"encoding/binary"
	"errors"
	"fmt"

	goldap "github.com/go-ldap/ldap/v3"
)

// grantSync gives an account what following changes takes: the right Replicating Directory Changes at the domain, and
// reading what has been deleted.
func grantSync(c *goldap.Conn, account string) error {
	result, err := c.Search(goldap.NewSearchRequest(account, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"objectSid"}, nil))
	if err != nil {
		return err
	}
	sid := result.Entries[0].GetRawAttributeValue("objectSid")
	const (
		listChildren  = 0x4
		readProperty  = 0x10
		controlAccess = 0x100
	)
	// DS-Replication-Get-Changes, 1131f6aa-9c07-11d1-f79f-00c04fc2dcd2 (MS-ADTS 5.1.3.2.1).
	getChanges := []byte{0xaa, 0xf6, 0x31, 0x11, 0x07, 0x9c, 0xd1, 0x11, 0xf7, 0x9f, 0x00, 0xc0, 0x4f, 0xc2, 0xdc, 0xd2}
	const deleted = "CN=Deleted Objects," + Base
	return errors.Join(
		grant(c, Base, allow(controlAccess, getChanges, sid)),
		takeOwnership(c, deleted),
		grant(c, deleted, allow(listChildren|readProperty, nil, sid)),
	)
}

// takeOwnership makes the administrators the owners: as they come, not even they may say who reads deleted objects.
func takeOwnership(c *goldap.Conn, dn string) error {
	const onlyOwner = 1
	flags := goldap.NewControlMicrosoftSDFlags()
	flags.ControlValue = onlyOwner
	descriptor := append([]byte{1, 0, 0, 0x80, 20}, make([]byte, 15)...)              // MS-DTYP 2.4.6
	descriptor = append(descriptor, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0) // S-1-5-32-544
	modify := goldap.NewModifyRequest(dn, []goldap.Control{flags, goldap.NewControlMicrosoftShowDeleted()})
	modify.Replace("nTSecurityDescriptor", []string{string(descriptor)})
	if err := c.Modify(modify); err != nil {
		return fmt.Errorf("taking ownership of %s: %w", dn, err)
	}
	return nil
}

// allow makes an access control entry (MS-DTYP 2.4.4.2, and 2.4.4.3 where the right has a GUID).
func allow(mask uint32, right, sid []byte) []byte {
	kind, body := byte(0), binary.LittleEndian.AppendUint32(nil, mask)
	if right != nil {
		kind = 5
		body = append(binary.LittleEndian.AppendUint32(body, 1), right...)
	}
	body = append(body, sid...)
	return append(binary.LittleEndian.AppendUint16([]byte{kind, 0}, uint16(4+len(body))), body...)
}

// grant puts an entry in front of an object's access control list (MS-DTYP 2.4.5, 2.4.6).
func grant(c *goldap.Conn, dn string, ace []byte) error {
	const onlyDACL = 4
	flags, deleted := goldap.NewControlMicrosoftSDFlags(), goldap.NewControlMicrosoftShowDeleted()
	flags.ControlValue = onlyDACL
	result, err := c.Search(goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
		[]string{"nTSecurityDescriptor"}, []goldap.Control{flags, deleted}))
	if err != nil {
		return fmt.Errorf("reading who may read %s: %w", dn, err)
	}
	descriptor := result.Entries[0].GetRawAttributeValue("nTSecurityDescriptor")
	if len(descriptor) < 20 {
		return fmt.Errorf("%s has no security descriptor", dn)
	}
	at := int(binary.LittleEndian.Uint32(descriptor[16:]))
	if at == 0 || len(descriptor) < at+8 {
		return fmt.Errorf("%s has no access control list", dn)
	}
	list := descriptor[at:]
	size := binary.LittleEndian.Uint16(list[2:])
	entries := list[8:size]
	changed := append([]byte(nil), descriptor[:at]...)
	changed = append(changed, list[:2]...)
	changed = binary.LittleEndian.AppendUint16(changed, size+uint16(len(ace)))
	changed = binary.LittleEndian.AppendUint16(changed, binary.LittleEndian.Uint16(list[4:])+1)
	changed = append(append(append(changed, 0, 0), ace...), entries...)
	modify := goldap.NewModifyRequest(dn, []goldap.Control{flags, deleted})
	modify.Replace("nTSecurityDescriptor", []string{string(changed)})
	if err := c.Modify(modify); err != nil {
		return fmt.Errorf("changing who may read %s: %w", dn, err)
	}
	return nil
}
