package app

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/syslog"
)

// keepCheckpoints is how long a checkpoint is kept that a later one has overtaken.
const keepCheckpoints = 90 * 24 * time.Hour

// collectorOf is where the audit log is sent to; nil: nowhere.
func collectorOf(c config.ControlPlane) (*syslog.Collector, error) {
	if c.Audit.Collector.Address == "" {
		return nil, nil
	}
	s := syslog.Collector(c.Audit.Collector)
	if _, err := s.TLS(); err != nil {
		return nil, &SetupError{
			Code: "audit-collector-files", What: "the files for the audit log's collector cannot be used",
			Next: "Correct audit.collector in the configuration, and see that the user that runs heimdrahtd may read the files.", Err: err,
		}
	}
	return &s, nil
}

// auditSlices are what is tidied away of the audit log.
func (a *App) auditSlices() []func(*store.Writer) (int64, error) {
	list := []func(*store.Writer) (int64, error){
		func(tx *store.Writer) (int64, error) { return tx.ClassifyAudit(tidySlice) },
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetCheckpoints(tx.Now.Add(-keepCheckpoints), tidySlice)
		},
	}
	for class, days := range map[audit.Class]int64{audit.ClassSecurity: a.config.Audit.SecurityDays, audit.ClassChange: a.config.Audit.ChangeDays} {
		if days == 0 {
			continue
		}
		list = append(list, func(tx *store.Writer) (int64, error) {
			return tx.EraseAudit(class, tx.Now.Add(-time.Duration(days)*24*time.Hour), tidySlice)
		})
	}
	return list
}
