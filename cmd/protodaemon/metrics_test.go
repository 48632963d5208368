package main

import (
	"net/http"
	"strings"
	"testing"
)

// Every series of the contract is there at the first scrape, before anything
// has happened: a rule over what is missing would stay silent.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	_, d := openServing(t)
	_, body := d.do(t, http.MethodGet, "/metrics", "")
	text := string(body)
	for _, series := range []string{
		`protodaemon_mailbox_up{mailbox="pec",organization="ordine"} `,
		`protodaemon_mailbox_last_seen_timestamp_seconds{mailbox="pec",organization="ordine"} `,
		`protodaemon_messages_ingested_total{kind="email",mailbox="pec",organization="ordine"} 0`,
		`protodaemon_messages_ingested_total{kind="pec-transport",mailbox="pec",organization="ordine"} 0`,
		`protodaemon_messages_failed_total{mailbox="pec",organization="ordine",reason="fetch"} 0`,
		`protodaemon_pending{organization="ordine",register="istituzionale"} 0`,
		`protodaemon_pending_oldest_age_seconds{organization="ordine",register="istituzionale"} 0`,
		`protodaemon_entries_total{direction="incoming",organization="ordine",register="istituzionale"} 0`,
		`protodaemon_entries_total{direction="internal",organization="ordine",register="istituzionale"} 0`,
		`protodaemon_moves_outstanding{mailbox="pec",organization="ordine"} 0`,
		`protodaemon_ingest_latency_seconds_count 0`,
		`protodaemon_confirm_latency_seconds_count 0`,
		`protodaemon_closings_total{organization="ordine",register="istituzionale",state="accepted"} 0`,
		`protodaemon_closings_total{organization="ordine",register="istituzionale",state="failed"} 0`,
		`protodaemon_unclosed_days{organization="ordine",register="istituzionale"} 0`,
		`protodaemon_closings_waiting{organization="ordine",register="istituzionale",state="failed"} 0`,
		`protodaemon_closing_refused{organization="ordine",register="istituzionale"} `,
		`protodaemon_receipt_overdue{organization="ordine",register="istituzionale"} 0`,
		`protodaemon_backup_last_success_timestamp_seconds 0`,
		`protodaemon_build_info{`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, "\n"+series) {
			t.Errorf("/metrics has no %s", series)
		}
	}
}
