package config

import (
	"bytes"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// houseRules reads what everybody must have acknowledged. The texts are files of
// their own, as they are written and agreed upon; their version follows from them.
func houseRules(m *mapping, dir string) provisioner.HouseRules {
	var german, english, link string
	if v, ok := m.need("german_file"); ok {
		german = v.plainText(dir)
	}
	if v, ok := m.ask("english_file"); ok {
		english = v.plainText(dir)
	}
	m.text("link", &link, webAddress)
	return provisioner.NewHouseRules(german, english, link)
}

// plainText reads the file that v names, relative to dir, as text.
func (v value) plainText(dir string) string {
	file, ok := v.text()
	if !ok {
		return ""
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	content, err := readRegular(file)
	if err != nil {
		v.failf("%s", err)
		return ""
	}
	// As editors of the other systems write it.
	content = bytes.ReplaceAll(bytes.TrimPrefix(content, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	if line, what := unreadable(content); what != "" {
		v.failf("%s:%d: %s", file, line, what)
		return ""
	}
	text := strings.TrimSpace(string(content))
	switch {
	case text == "":
		v.failf("%s is empty", file)
	case len(text) > provisioner.HouseRulesLimit:
		v.failf("%s has more than %d bytes: keep to what everybody must have read, and name the rest with `link`", file, provisioner.HouseRulesLimit)
	}
	return text
}

func webAddress(v value, s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		v.failf("%q is not an address such as https://intranet.stadt.example/hausregeln", quoted(s))
		return "", false
	}
	return s, true
}
