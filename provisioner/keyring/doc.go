// Package keyring holds the secrets of the control plane: the master key, what
// it seals, and the roots from which sessions get their preshared keys.
//
// What always holds here:
//   - The master key lies in a file that only its owner can read, and nowhere
//     else; it is never overwritten. What the database holds is worthless
//     without it.
//   - What was sealed for one purpose opens for no other, and a master key that
//     belongs to another database is told from damage.
//   - No key of this package shows itself in print, logs or JSON.
//
// AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256 (RFC 5869), both of Go's
// standard library: nothing else has to be trusted or kept up to date.
//
// Not its business: where sealed keys are kept (store), and certificates (ca).
package keyring

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[redacted]"

// redacted makes a type that embeds it show nothing of itself.
type redacted struct{}

// Format answers every verb of package fmt, %d and %x as well.
func (redacted) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) } // as fmt does: State never fails

// String hides the key.
func (redacted) String() string { return hidden }

// GoString hides the key.
func (redacted) GoString() string { return hidden }

// LogValue hides the key.
func (redacted) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key.
func (redacted) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON hides the key.
func (redacted) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }
