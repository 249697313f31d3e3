package signin

import "log/slog"

// Password is what a person typed. However it is printed, it is not readable.
type Password string

const redacted = "[redacted]"

// String hides it.
func (Password) String() string { return redacted }

// GoString hides it from %#v.
func (Password) GoString() string { return redacted }

// LogValue hides it from slog.
func (Password) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides it from JSON and the like.
func (Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }
