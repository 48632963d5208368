package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/register"
)

func configFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file (YAML)")
}

// loadConfig reads the file of --config. What is wrong with it, or a file that
// cannot be read, is wrong usage.
func loadConfig(cmd *cobra.Command) (*configs.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	cfg, err := configs.Load(path)
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config --config FILE",
		Short: "Print the effective configuration, with secrets masked",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			text, err := cfg.Masked()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	configFlag(cmd)
	return requireFlags(cmd, "config")
}

// setupOf is what the register needs to know of the configuration.
func setupOf(cfg *configs.Config, legalDay *time.Location) register.Setup {
	s := register.Setup{Location: legalDay}
	for _, o := range cfg.Organizations {
		s.Organizations = append(s.Organizations, organizationOf(o))
	}
	return s
}

func organizationOf(o configs.Organization) register.Organization {
	org := register.Organization{
		ID: o.ID, Name: o.Name, IPACode: o.IPACode, AOOCode: o.AOOCode, TaxCode: o.TaxCode,
		Manager: register.Officer(o.Manager), Deputy: register.Officer(o.Deputy),
	}
	for _, r := range o.Registers {
		book := register.Book{
			ID: r.ID, Name: r.Name, IPACode: r.IPACode, AOOCode: r.AOOCode, TaxCode: r.TaxCode,
			Segnatura: r.Segnatura,
			Closing: register.ClosingRules{
				EmptyDays: r.Closing.EmptyDays, SameDay: r.Closing.SameDay, Reserved: r.Closing.Reserved,
				Patron: r.Closing.Patron, Holidays: r.Closing.Holidays, Final: finalState(r.Closing),
			},
		}
		for _, m := range r.Mailboxes {
			book.Mailboxes = append(book.Mailboxes, register.Mailbox{
				Organization: o.ID, Register: r.ID, ID: m.ID, Kind: m.Kind, Address: m.Address,
			})
		}
		org.Registers = append(org.Registers, book)
	}
	return org
}

// finalState is how far a register's closings go with what is configured.
func finalState(c configs.Closing) register.ClosingState {
	switch {
	case c.Deliver.Kind != "directory" || c.Deliver.Path != "":
		return register.ClosingAccepted
	case !c.Sign.Given():
		return register.ClosingClosed
	case c.Timestamp.URL == "":
		return register.ClosingSigned
	}
	return register.ClosingStamped
}
