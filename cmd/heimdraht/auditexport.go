package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

type auditExportCommand struct {
	File   string `required:"" placeholder:"FILE" help:"${audit_export_file}"`
	Tenant string `placeholder:"NAME" help:"${audit_export_tenant}"`
	because
}

// Run writes the log to a new file, which is there whole or not at all.
func (c *auditExportCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht audit export")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.File); !errors.Is(err, fs.ErrNotExist) {
		return fileUnusable(c.File, "es gibt sie schon", "it is there already")
	}
	var records int64
	if err := a.withClient(ctx, func(ctx context.Context, k *client) error {
		stream, err := k.aud.Export(ctx, &heimdrahtv1.ExportRequest{Tenant: c.Tenant, Reason: reason})
		if err != nil {
			return err
		}
		first, err := stream.Recv() // what is refused leaves no file
		if err != nil {
			return err
		}
		return writeWhole(c.File, func(out io.Writer) (err error) {
			records, err = exportTo(out, first, stream.Recv)
			return err
		})
	}); err != nil {
		return err
	}
	a.hint(words{"%d Einträge stehen in %s. Prüfen: heimdraht audit verify %s", "%d records are in %s. To verify: heimdraht audit verify %s"}, records, c.File, c.File)
	return nil
}

// exportTo writes what comes to a file of its form, and counts the records.
func exportTo(out io.Writer, part *heimdrahtv1.ExportResponse, next func() (*heimdrahtv1.ExportResponse, error)) (records int64, err error) {
	begin := part.GetBegin()
	if begin == nil {
		return 0, errors.New("the server began the export with something else than its beginning")
	}
	e, err := beginExport(out, begin)
	if err != nil {
		return 0, err
	}
	for {
		part, err := next()
		if errors.Is(err, io.EOF) {
			return 0, io.ErrUnexpectedEOF // only its last part ends an export
		}
		if err != nil {
			return 0, err
		}
		if part.GetEnd() != nil {
			return records, e.End()
		}
		for _, raw := range part.GetRecords().GetRecords() {
			r, before, err := recordOf(raw)
			if err != nil {
				return 0, err
			}
			if part.GetRecords().GetEarlier() {
				err = e.Earlier(before, r)
			} else {
				err = e.Record(part.GetRecords().GetChain(), r)
			}
			if err != nil {
				return 0, err
			}
			records++
		}
	}
}

func beginExport(out io.Writer, begin *heimdrahtv1.ExportBegin) (*audit.Export, error) {
	e, err := audit.NewExport(out, begin.GetInstallation())
	if err != nil {
		return nil, err
	}
	for _, raw := range begin.GetPublicKeys() {
		key, err := publicKey(raw)
		if err != nil {
			return nil, err
		}
		if err := e.Key(key); err != nil {
			return nil, err
		}
	}
	c := begin.GetCheckpoint()
	check := audit.Checkpoint{
		Installation: c.GetInstallation(), At: time.UnixMilli(c.GetAtMs()), Complete: c.GetComplete(), Key: audit.KeyID(c.GetKeyId()), Signature: c.GetSignature(),
	}
	for _, h := range c.GetHeads() {
		hash, err := hashOf(h.GetHash())
		if err != nil {
			return nil, err
		}
		check.Heads = append(check.Heads, audit.ChainHead{Chain: h.GetChain(), Head: audit.Head{Seq: h.GetSeq(), Hash: hash}})
	}
	return e, e.Checkpoint(check)
}

func recordOf(raw *heimdrahtv1.RawRecord) (r audit.Record, before audit.Hash, err error) {
	r = audit.Record{Seq: raw.GetSeq(), At: time.UnixMilli(raw.GetAtMs()), Tenant: raw.GetTenant(), Payload: raw.GetPayload(), Salt: raw.GetSalt()}
	var errs [3]error
	r.Commitment, errs[0] = hashOf(raw.GetCommitment())
	r.Hash, errs[1] = hashOf(raw.GetHash())
	if len(raw.GetBefore()) > 0 {
		before, errs[2] = hashOf(raw.GetBefore())
	}
	return r, before, errors.Join(errs[:]...)
}

func hashOf(raw []byte) (h audit.Hash, err error) {
	if len(raw) != len(h) {
		return h, fmt.Errorf("the server sent a hash of %d bytes", len(raw))
	}
	return audit.Hash(raw), nil
}

func publicKey(raw []byte) (ed25519.PublicKey, error) {
	if len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the server sent a key of %d bytes", len(raw))
	}
	return raw, nil
}

// writeWhole makes a file that only its owner may read: under its name it is whole, or not
// there.
func writeWhole(file string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // with mode 0600
	if err != nil {
		return unreadable(file, err)
	}
	buffered := bufio.NewWriter(f)
	if err = fill(buffered); err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, os.Remove(f.Name()))
	var path *fs.PathError
	if errors.As(err, &path) {
		return unreadable(file, path.Err)
	}
	return err
}
