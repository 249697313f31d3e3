package provisioner

import (
	"crypto/sha256"
	"encoding/hex"
)

// HouseRules are what a tenant wants everybody to have read and acknowledged who
// works from home. The zero value: there are none.
type HouseRules struct {
	// Version follows from the texts, so that nobody forgets to change it and no
	// version ever stands for two texts: what somebody has acknowledged is certain.
	Version string
	Link    string // where they can be read too; may be empty

	// The texts are kept beside the tenant, which is read with each opening.
	German  string `json:"-"`
	English string `json:"-"` // empty: there is only the German
}

// HouseRulesLimit is how long each text may be, in bytes: it comes with a
// refusal, whose room is limited.
const HouseRulesLimit = 16 << 10

// NewHouseRules gives texts their version.
func NewHouseRules(german, english, link string) HouseRules {
	if german == "" {
		return HouseRules{}
	}
	sum := sha256.Sum256([]byte(german + "\x00" + english))
	return HouseRules{Version: hex.EncodeToString(sum[:6]), Link: link, German: german, English: english}
}

// Text is the text in "en", if there is one, else the German.
func (h HouseRules) Text(language string) string {
	if language == "en" && h.English != "" {
		return h.English
	}
	return h.German
}

// UntilRead is the refusal of who has not acknowledged them.
func (h HouseRules) UntilRead() *Refusal {
	r := Refuse(CodeHouseRules, "version", h.Version)
	r.Rules = &h
	return r
}
