package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

func jsonFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "print JSON, on one line")
}

func asJSON(cmd *cobra.Command) bool {
	yes, err := cmd.Flags().GetBool("json")
	return err == nil && yes
}

// printJSON writes v on one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printDocument writes v as JSON: on one line for --json, else indented.
func printDocument(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	if !asJSON(cmd) {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}
