package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the build (-ldflags -X); what is left empty
// is taken from what the Go tool recorded.
var version, commit string

// build tells which program this is.
type build struct{ version, commit, goVersion string }

func thisBuild() build {
	b := build{version: version, commit: commit, goVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.withDefaults()
	}
	if b.version == "" && info.Main.Version != "(devel)" {
		b.version = info.Main.Version
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && b.commit == "":
			b.commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true" && commit == "":
			modified = "+changes"
		}
	}
	if b.commit != "" {
		b.commit += modified
	}
	return b.withDefaults()
}

func (b build) withDefaults() build {
	if b.version == "" {
		b.version = "development"
	}
	if b.commit == "" {
		b.commit = "unknown"
	}
	return b
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "protodaemon %s\ncommit %s\n%s\n", b.version, b.commit, b.goVersion)
			return err
		},
	}
}
