package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Secret is shared with the receiver.
type Secret []byte

const (
	secretPrefix = "whsec_"
	// Bounds of a secret in bytes, as Standard Webhooks has them.
	leastSecret, mostSecret = 24, 64
	// mostSecrets are the new one and the one before it.
	mostSecrets = 2
	// secretFile is far more than a file of secrets has.
	secretFile = 1024
)

// What can be wrong with a file of secrets, besides that it cannot be read.
var (
	// ErrExposed says that others may read it.
	ErrExposed = errors.New("the secret of the webhook can be read by others")
	// ErrNoSecret says that the file holds something else.
	ErrNoSecret = errors.New("the file holds no secret of a webhook")
)

// ReadSecrets reads a file with a secret in a line, as whsec_ and base64; the line after it may
// hold the former one, which signs as well until the receiver knows the new one.
func ReadSecrets(path string) ([]Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret of the webhook: %w", err)
	}
	defer f.Close()
	// Of the open file, which nobody can exchange any more.
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the secret of the webhook: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading the secret of the webhook: %s: %w", path, ErrNoSecret)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%w: %s has mode %#o: run: chmod 600 %s", ErrExposed, path, info.Mode().Perm(), path)
	}
	content, err := io.ReadAll(io.LimitReader(f, secretFile))
	if err != nil {
		return nil, fmt.Errorf("reading the secret of the webhook: %w", err)
	}
	secrets, err := parseSecrets(string(content))
	if err != nil {
		return nil, fmt.Errorf("reading the secret of the webhook: %s: %w", path, err)
	}
	return secrets, nil
}

func parseSecrets(content string) (list []Secret, err error) {
	lines := strings.Fields(content)
	if len(lines) == 0 || len(lines) > mostSecrets {
		return nil, fmt.Errorf("%w: %d lines, must be one, or two while it is exchanged", ErrNoSecret, len(lines))
	}
	for i, line := range lines {
		text, begins := strings.CutPrefix(line, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(text)
		if !begins || err != nil || len(secret) < leastSecret || len(secret) > mostSecret {
			return nil, fmt.Errorf("%w: line %d is not %s and %d to %d bytes in base64", ErrNoSecret, i+1, secretPrefix, leastSecret, mostSecret)
		}
		list = append(list, secret)
	}
	return list, nil
}

// Sign is the header webhook-signature: one signature for each secret.
func Sign(secrets []Secret, id string, at time.Time, body []byte) string {
	var signatures []string
	for _, s := range secrets {
		h := hmac.New(sha256.New, s)
		h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		h.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}
