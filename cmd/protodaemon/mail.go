package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
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
