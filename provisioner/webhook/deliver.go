package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// Receiver is where messages go. It must not be copied once it is in use.
type Receiver struct {
	URL        string // https
	SecretFile string
	CAFile     string // PEM; who may have issued the receiver's certificate. Empty: the system's authorities

	one sync.Mutex // a connection at a time
}

const (
	dialTime = 10 * time.Second
	// answerTime is how long all of a delivery may take.
	answerTime = 30 * time.Second
	// answerHeader and answerBody are how much of an answer is read, in bytes.
	answerHeader, answerBody = 16 << 10, 64 << 10
)

// StatusError says that the receiver has answered, and has not taken the message.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	if e.Code >= 300 && e.Code < 400 {
		return fmt.Sprintf("it answered with status %d, a redirection, which is not followed", e.Code)
	}
	return fmt.Sprintf("it answered with status %d", e.Code)
}

// Check reports what is wrong with the files.
func (r *Receiver) Check() error {
	if _, err := ReadSecrets(r.SecretFile); err != nil {
		return err
	}
	_, err := r.roots()
	return err
}

// roots are who may have issued the receiver's certificate; nil: the system's authorities.
func (r *Receiver) roots() (*x509.CertPool, error) {
	if r.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading who may issue the receiver's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", r.CAFile)
	}
	return roots, nil
}

// Deliver posts a message of JSON, and returns nil when the receiver has taken it. After an
// error it may have taken it all the same, and should be told the same id again. The files are
// read each time, so that what was exchanged is used with the next delivery.
func (r *Receiver) Deliver(ctx context.Context, id string, body []byte) error {
	secrets, err := ReadSecrets(r.SecretFile)
	if err != nil {
		return err
	}
	roots, err := r.roots()
	if err != nil {
		return err
	}
	r.one.Lock()
	defer r.one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address of the webhook is none") // without it
	}
	now := time.Now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "heimdrahtd")
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("webhook-signature", Sign(secrets, id, now, body))
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableKeepAlives: true, MaxResponseHeaderBytes: answerHeader,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		var withAddress *url.Error
		if errors.As(err, &withAddress) {
			err = withAddress.Err
		}
		return fmt.Errorf("posting to the receiver: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return &StatusError{answer.StatusCode}
	}
	// So that it is not cut off in the middle of its answer; what it says is of no use.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerBody))
	return nil
}
