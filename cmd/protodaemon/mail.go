package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/pec"
)

func ingestOptions(cfg *configs.Config, s *system, boxes []ingest.Mailbox, metrics prometheus.Registerer, log *slog.Logger) ingest.Options {
	return ingest.Options{
		Office:     s.office,
		Mailboxes:  boxes,
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

// trustedMailboxes are the mailboxes with the trust anchors of their registers.
func trustedMailboxes(cfg *configs.Config) ([]ingest.Mailbox, error) {
	boxes := mailboxesOf(cfg)
	loaded := map[string]*pec.Trust{} // registers mostly name the same files
	for i, m := range boxes {
		_, r := cfg.Find(m.Organization, m.Register)
		files := strings.Join(r.PEC.Trust, "\n")
		if loaded[files] == nil {
			trust, err := pec.LoadTrust(pec.TrustFiles{Anchors: r.PEC.Trust})
			if err != nil {
				return nil, usageError{fmt.Errorf("organization %s, register %s: pec.trust: %w", m.Organization, m.Register, err)}
			}
			loaded[files] = trust
		}
		boxes[i].Trust = loaded[files]
	}
	return boxes, nil
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
