package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/register"
)

type newToken struct {
	User string        `json:"user"`
	TTL  time.Duration `json:"ttl"`
}

type createdToken struct {
	Token  register.Token `json:"token"`
	Secret string         `json:"secret"`
}

func createToken(ctx context.Context, s *system, p newToken) (createdToken, error) {
	t, secret, err := s.office.CreateToken(ctx, register.System(), p.User, p.TTL)
	if err != nil {
		return createdToken{}, refused(err, "user "+p.User)
	}
	return createdToken{Token: t, Secret: secret}, nil
}

func listTokens(ctx context.Context, s *system, _ none) ([]register.Token, error) {
	return s.office.Tokens(ctx, register.System())
}

type tokenID struct {
	ID string `json:"id"`
}

func revokeToken(ctx context.Context, s *system, p tokenID) (none, error) {
	if err := s.office.RevokeToken(ctx, register.System(), p.ID); err != nil {
		return none{}, refused(err, "token "+p.ID)
	}
	return none{}, nil
}

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "API tokens: create, list, revoke",
		Args:  noArguments,
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
	return cmd
}

func tokenCreateCommand() *cobra.Command {
	var p newToken
	cmd := &cobra.Command{
		Use:   "create --config FILE --user NAME",
		Short: "Make an API token; it is printed once and cannot be shown again",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			created, err := perform[createdToken](cmd, "token create", p)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), created.Secret)
			return err
		},
	}
	configFlag(cmd)
	cmd.Flags().StringVar(&p.User, "user", "", "whose token it is")
	cmd.Flags().DurationVar(&p.TTL, "ttl", 720*time.Hour, "how long it holds")
	return requireFlags(cmd, "config", "user")
}

func tokenListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List the tokens, without their secrets",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, err := perform[[]register.Token](cmd, "token list", none{})
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), tokens)
			}
			return printTable(cmd.OutOrStdout(), "ID\tUSER\tEXPIRES\tSTATE", tokens, tokenRow)
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	return requireFlags(cmd, "config")
}

func tokenRow(t register.Token) string {
	state := "active"
	switch {
	case t.Revoked:
		state = "revoked"
	case time.Now().After(t.Expires):
		state = "expired"
	}
	return strings.Join([]string{t.ID, t.User, t.Expires.Format(time.RFC3339), state}, "\t")
}

func tokenRevokeCommand() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "revoke --config FILE --id ID",
		Short: "End a token",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := perform[none](cmd, "token revoke", tokenID{id}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "token %s revoked\n", id)
			return err
		},
	}
	configFlag(cmd)
	cmd.Flags().StringVar(&id, "id", "", "the token's id, as token list shows it")
	return requireFlags(cmd, "config", "id")
}
