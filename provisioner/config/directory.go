package config

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (v value) emptyList() bool {
	return v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0
}

// authorities reads a PEM file of certificates; file is relative to dir.
func (v value) authorities(file, dir string) string {
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	content, err := readRegular(file)
	if err != nil {
		v.failf("%s", err)
		return ""
	}
	var all strings.Builder
	for {
		var block *pem.Block
		block, content = pem.Decode(content)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			// What is declared is sent to the server and shown to people.
			v.failf("%s holds a %s: it must hold nothing but certificates", file, strings.ToLower(block.Type))
			return ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			v.failf("%s: %s", file, err)
			return ""
		}
		all.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if all.Len() == 0 {
		v.failf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", file)
	}
	return all.String()
}

// readRegular reads a file of the file system, and nothing that may never end.
func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file, or too large", file)
	}
	return os.ReadFile(file)
}

// bindName is whom the control plane binds as: a DN, or as Active Directory
// also takes it, name@domain or DOMAIN\name.
func bindName(v value, s string) (string, bool) {
	if strings.ContainsAny(s, `@\`) && !strings.Contains(s, "=") {
		return s, true
	}
	return distinguishedName(v, s)
}

func isLDAPS(server string) bool { return strings.HasPrefix(server, "ldaps://") }
