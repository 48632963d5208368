package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/pec"
)

// loadTrust reads the anchors that PEC providers' certificates must lead to.
func loadTrust(cfg *configs.Config) (*pec.Trust, error) {
	for _, o := range cfg.Organizations {
		for _, r := range o.Registers {
			if !slices.Equal(r.PEC.Trust, cfg.PEC.Trust) {
				return nil, usageError{fmt.Errorf("organization %s, register %s: pec.trust differs from the installation's, which is not part of this version; name all anchors in the main pec.trust", o.ID, r.ID)}
			}
		}
	}
	trust, err := pec.LoadTrust(cfg.PEC.Trust...)
	if err != nil {
		return nil, usageError{fmt.Errorf("pec.trust: %w", err)}
	}
	return trust, nil
}

func ingestOptions(cfg *configs.Config, s *system, trust func() *pec.Trust, metrics prometheus.Registerer, log *slog.Logger) ingest.Options {
	return ingest.Options{
		Office:     s.office,
		Mailboxes:  mailboxesOf(cfg),
		Trust:      trust,
		MaxMessage: int64(cfg.Ingest.MaxMessage),
		Timing:     ingest.Timing{Poll: cfg.Ingest.Poll, IdleRenew: cfg.Ingest.IdleRenew},
		Log:        log,
		Metrics:    metrics,
	}
}

// mailboxesOf lists every mailbox of the configuration as ingest wants it.
func mailboxesOf(cfg *configs.Config) []ingest.Mailbox {
	var boxes []ingest.Mailbox
	for _, o := range cfg.Organizations {
		for _, r := range o.Registers {
			for _, m := range r.Mailboxes {
				boxes = append(boxes, mailboxOf(o.ID, r.ID, m))
			}
		}
	}
	return boxes
}

func mailboxOf(org, book string, m configs.Mailbox) ingest.Mailbox {
	return ingest.Mailbox{
		Organization: org, Register: book, ID: m.ID, Kind: m.Kind, Address: m.Address,
		IMAP: ingest.IMAP{
			Host: m.IMAP.Host, Port: m.IMAP.Port, TLS: m.IMAP.TLS, CAFile: m.IMAP.CAFile,
			Username: m.IMAP.Username, Password: m.IMAP.PasswordFile.Read, Auth: m.IMAP.Auth,
		},
		Folders: ingest.Folders{Inbox: m.Folders.Inbox, Pending: m.Folders.Pending, Registered: m.Folders.Registered},
	}
}
