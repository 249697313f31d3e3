package enrolment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Enrolment by code is in the manner of RFC 8628: the laptop shows a short code,
// and its person approves it where she is signed in.

const (
	// codeLife is how long a code can be decided on.
	codeLife = 15 * time.Minute
	// answerLife is how long a laptop that was shut down finds its answer.
	answerLife = 24 * time.Hour
	// holdFor is how long a question whether a laptop is approved waits for the
	// answer. The server stops no later than that.
	holdFor = 10 * time.Second
	// lookEvery is how soon a decision on another replica is noticed.
	lookEvery = 2 * time.Second
	// askEvery is how often a laptop may ask while another question of it waits.
	askEvery = 5 * time.Second
	// How many laptops may wait: of a network (an office behind one address), and
	// in all. A row has 1 KB.
	waitingOfNetwork = 64
	waitingInAll     = 2048
	// How many wrong codes somebody may type. With ten in half an hour, and as many
	// laptops waiting as may, one of them is hit in 71 years on average.
	wrongCodes, wrongCodesWithin = 10, 30 * time.Minute
)

// codeLetters spell no words and are not taken for one another (RFC 8628, 6.1).
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 8
)

// newCode draws a user code: 34 bits.
func newCode() string {
	code := make([]byte, 0, codeLength)
	var b [1]byte
	for len(code) < codeLength {
		_, _ = rand.Read(b[:]) // never fails
		if n := len(codeLetters); int(b[0]) < 256/n*n {
			code = append(code, codeLetters[int(b[0])%n])
		}
	}
	return string(code)
}

// shownCode is a code as people read it.
func shownCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// typedCode is a code as somebody may have typed it; empty: it is none.
func typedCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	code := strings.ToUpper(strings.Join(strings.FieldsFunc(typed, func(r rune) bool { return r == '-' || r == ' ' || r == '\t' }), ""))
	if len(code) != codeLength || strings.Trim(code, codeLetters) != "" {
		return ""
	}
	return code
}

// BeginRequest asks for a code for a laptop.
type BeginRequest struct {
	Laptop

	Tenant string // of which somebody must approve it; empty: any
}

// Begun is a laptop that waits.
type Begun struct {
	UserCode    string // for people to read and type
	DeviceCode  string // secret: with it the laptop asks
	Fingerprint string // of its key
	ExpiresAt   time.Time
	AskEvery    time.Duration
}

// Begin lets a laptop wait for somebody who approves it. Refusals are
// wireguard-key-invalid, wireguard-key-in-use, certificate-request-invalid,
// invalid and enrolments-full.
func (s *Service) Begin(ctx context.Context, actor provisioner.Actor, r BeginRequest) (Begun, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionEnrol, provisioner.Object{}); refusal != nil {
		return Begun{}, refusal
	}
	l, refusal := laptopOf(r.Laptop)
	if refusal != nil {
		return Begun{}, refusal
	}
	if err := s.Certificates.Check(r.CertificateRequest); err != nil {
		return Begun{}, err
	}
	begun := Begun{DeviceCode: provisioner.NewSecret(), Fingerprint: l.key.Fingerprint(), AskEvery: askEvery}
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		network := signin.Network(actor.Source)
		there, everywhere, err := tx.WaitingLaptops(network, tx.Now)
		if err != nil {
			return fmt.Errorf("counting the laptops that wait: %w", err)
		}
		if there >= waitingOfNetwork || everywhere >= waitingInAll {
			return provisioner.Refuse(provisioner.CodeEnrolmentsFull).After(time.Minute)
		}
		if _, err := tx.KeyOwner(l.key); !errors.Is(err, store.ErrNone) {
			if err != nil {
				return fmt.Errorf("looking whose a key is: %w", err)
			}
			return provisioner.Refuse(provisioner.CodeKeyInUse)
		}
		begun.ExpiresAt = tx.Now.Add(codeLife)
		waiting := store.WaitingLaptop{
			Tenant: strings.ToLower(audit.CleanText(r.Tenant, NameLimit)),
			Name:   l.name, SerialNumber: l.serial, Platform: l.platform, AgentVersion: l.version, PublicKey: l.key,
			CertificateRequest: r.CertificateRequest, Source: actor.Source, Network: network,
			BegunAt: tx.Now, ExpiresAt: begun.ExpiresAt, KeptUntil: begun.ExpiresAt, State: store.LaptopWaits,
		}
		for {
			waiting.UserCode = newCode()
			added, err := tx.AddWaitingLaptop(begun.DeviceCode, waiting)
			if err != nil || added {
				begun.UserCode = shownCode(waiting.UserCode)
				return err
			}
		}
	})
	if err != nil {
		return Begun{}, fmt.Errorf("letting a laptop wait: %w", err)
	}
	return begun, nil
}

// Await waits a moment until a laptop is decided on: with what it is told once
// it is approved, or nil if it still waits. Asking again gives the same, for a
// day. Refusals are enrolment-expired, also for a code that nobody has,
// enrolment-denied, and slow-down while another call of the laptop waits.
func (s *Service) Await(ctx context.Context, actor provisioner.Actor, deviceCode string) (*store.WaitingAnswer, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionEnrol, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	waiting, err := s.lookAt(ctx, deviceCode)
	if err != nil || waiting.State == store.LaptopApproved {
		return &waiting.Answer, err
	}
	decided, leave := s.asking.enter(waiting.UserCode)
	if leave == nil {
		return nil, provisioner.Refuse(provisioner.CodeSlowDown).After(askEvery)
	}
	defer leave()
	end, look := time.NewTimer(holdFor), time.NewTicker(lookEvery)
	defer end.Stop()
	defer look.Stop()
	for over := false; ; {
		waiting, err = s.lookAt(ctx, deviceCode)
		switch {
		case err != nil:
			return nil, err
		case waiting.State == store.LaptopApproved:
			return &waiting.Answer, nil
		case over:
			return nil, nil // it still waits
		}
		select {
		case <-decided:
		case <-look.C:
		case <-end.C:
			over = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookAt reads how it stands with a laptop that waits, or was approved.
func (s *Service) lookAt(ctx context.Context, deviceCode string) (store.WaitingLaptop, error) {
	waiting, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.WaitingLaptop, error) { return tx.WaitingLaptopOf(deviceCode) })
	now := time.Now()
	switch {
	case err != nil && !errors.Is(err, store.ErrNone):
		return waiting, fmt.Errorf("reading how it stands with a laptop: %w", err)
	case err != nil, now.After(waiting.KeptUntil):
		return waiting, provisioner.Refuse(provisioner.CodeEnrolmentExpired)
	case waiting.State == store.LaptopDenied:
		return waiting, provisioner.Refuse(provisioner.CodeEnrolmentDenied)
	}
	return waiting, nil
}
