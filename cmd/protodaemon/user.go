package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/register"
)

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 1024

// stdinPatience is how long a password may take to come down a pipe.
const stdinPatience = 5 * time.Second

type newUser struct {
	User     register.User `json:"user"`
	Password string        `json:"password"` // empty: make one
}

type addedUser struct {
	User string `json:"user"`
	// Password is what was made for a new account that came without.
	Password string `json:"password,omitempty"`
	Existed  bool   `json:"existed,omitempty"`
}

// addUser makes the account, or adds the role to the one there is, whose
// password stays what it was.
func addUser(ctx context.Context, s *system, p newUser) (addedUser, error) {
	there, err := s.office.Users(ctx, register.System())
	if err != nil {
		return addedUser{}, err
	}
	result := addedUser{User: p.User.Name}
	result.Existed = slices.ContainsFunc(there, func(u register.User) bool { return u.Name == p.User.Name })
	if !result.Existed && p.Password == "" {
		p.Password = rand.Text()
		result.Password = p.Password
	}
	if err := s.office.AddUser(ctx, register.System(), p.User, p.Password); err != nil {
		return addedUser{}, refused(err, "user "+p.User.Name)
	}
	return result, nil
}

// refused gives what the register refuses as invalid the status of a wrong
// command line, and says what it is about.
func refused(err error, about string) error {
	if errors.Is(err, register.ErrInvalid) {
		return usageError{fmt.Errorf("%s: %w", about, err)}
	}
	return err
}

func listUsers(ctx context.Context, s *system, _ none) ([]register.User, error) {
	return s.office.Users(ctx, register.System())
}

type userName struct {
	Name string `json:"name"`
}

func disableUser(ctx context.Context, s *system, p userName) (none, error) {
	if err := s.office.DisableUser(ctx, register.System(), p.Name); err != nil {
		return none{}, refused(err, "user "+p.Name)
	}
	return none{}, nil
}

type newPassword struct {
	Name     string `json:"name"`
	Password string `json:"password"` // empty: make one
}

func setPassword(ctx context.Context, s *system, p newPassword) (addedUser, error) {
	result := addedUser{User: p.Name, Existed: true}
	if p.Password == "" {
		p.Password = rand.Text()
		result.Password = p.Password
	}
	if err := s.office.SetPassword(ctx, register.System(), p.Name, p.Password); err != nil {
		return addedUser{}, refused(err, "user "+p.Name)
	}
	return result, nil
}

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Accounts: add, list, disable, passwd",
		Args:  noArguments,
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(userAddCommand(), userListCommand(), userDisableCommand(), userPasswdCommand())
	return cmd
}

// needsSubcommand is what a command that only groups others does by itself.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	return usageError{fmt.Errorf("%q needs a subcommand; see: %s --help", cmd.CommandPath(), cmd.CommandPath())}
}

func userAddCommand() *cobra.Command {
	var u register.User
	var g register.Grant
	var file string
	cmd := &cobra.Command{
		Use:   "add --config FILE --user NAME --role admin|manager|operator|auditor",
		Short: "Add an account, or a further role to one",
		Long: `Adds an account, or a further role to the account there is.

A role holds for one organization (and register) or, without one, for all.
manager is the responsabile del protocollo: closes, annuls, reads everything;
auditor only reads.

The password is the first line of --password-file, or of standard input when
something is piped into it; otherwise one is made and printed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := givenPassword(cmd, file)
			if err != nil {
				return err
			}
			u.Grants = []register.Grant{g}
			added, err := perform[addedUser](cmd, "user add", newUser{User: u, Password: password})
			if err != nil {
				return err
			}
			return printAdded(cmd.OutOrStdout(), added, g)
		},
	}
	configFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&u.Name, "user", "", "user name")
	f.StringVar((*string)(&g.Role), "role", "", "admin, manager, operator or auditor")
	f.StringVar(&g.Organization, "organization", "", "where the role holds (default: everywhere)")
	f.StringVar(&g.Register, "register", "", "where in the organization the role holds (default: all registers)")
	f.StringVar(&u.GivenName, "name", "", "given name")
	f.StringVar(&u.Surname, "surname", "", "surname")
	f.StringVar(&u.TaxCode, "tax-code", "", "codice fiscale")
	passwordFlag(cmd, &file)
	return requireFlags(cmd, "config", "user", "role")
}

func printAdded(w io.Writer, added addedUser, g register.Grant) error {
	text := fmt.Sprintf("user %s added as %s\n", added.User, g.Role)
	if added.Existed {
		text = fmt.Sprintf("user %s is now also %s\n", added.User, g.Role)
	}
	if added.Password != "" {
		text += fmt.Sprintf("password: %s\n", added.Password)
	}
	_, err := io.WriteString(w, text)
	return err
}

func passwordFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "password-file", "", "file whose first line is the password")
}

// givenPassword is the first line of the file, or of standard input when it
// is a pipe or a file; otherwise empty.
func givenPassword(cmd *cobra.Command, file string) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		defer f.Close()
		line, err := firstLine(f)
		if err == nil && line == "" {
			err = usageError{fmt.Errorf("%s: the first line is empty", file)}
		}
		return line, err
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok {
		return firstLine(cmd.InOrStdin())
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 {
		return "", nil
	}
	return pipedLine(cmd, in)
}

// pipedLine is the first line of the pipe. A pipe into which nobody writes,
// as some supervisors leave it open, counts as none.
func pipedLine(cmd *cobra.Command, in io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	// The process ends with the command: a read that never returns is left.
	go func() {
		line, err := firstLine(in)
		read <- result{line, err}
	}()
	select {
	case r := <-read:
		return r.line, r.err
	case <-cmd.Context().Done():
		return "", context.Cause(cmd.Context())
	case <-time.After(stdinPatience):
		fmt.Fprintln(cmd.ErrOrStderr(), "no password came on standard input; making one (use --password-file to give one)")
		return "", nil
	}
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if len(line) > maxPassword {
		return "", usageError{fmt.Errorf("the password is longer than %d bytes", maxPassword)}
	}
	return line, nil
}

func userListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List the accounts",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			users, err := perform[[]register.User](cmd, "user list", none{})
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), users)
			}
			return printTable(cmd.OutOrStdout(), "USER\tNAME\tROLES\tSTATE", users, userRow)
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	return requireFlags(cmd, "config")
}

func userRow(u register.User) string {
	var roles []string
	for _, g := range u.Grants {
		role := string(g.Role)
		if g.Organization != "" {
			role += "@" + g.Organization
		}
		if g.Register != "" {
			role += "/" + g.Register
		}
		roles = append(roles, role)
	}
	state := "active"
	if u.Disabled {
		state = "disabled"
	}
	return strings.Join([]string{u.Name, strings.TrimSpace(u.GivenName + " " + u.Surname), strings.Join(roles, " "), state}, "\t")
}

func userDisableCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "disable --config FILE --user NAME",
		Short: "End an account, its sessions and tokens",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := perform[none](cmd, "user disable", userName{name}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "user %s disabled\n", name)
			return err
		},
	}
	configFlag(cmd)
	cmd.Flags().StringVar(&name, "user", "", "user name")
	return requireFlags(cmd, "config", "user")
}

func userPasswdCommand() *cobra.Command {
	var name, file string
	cmd := &cobra.Command{
		Use:   "passwd --config FILE --user NAME",
		Short: "Replace a password, and end the sessions opened with the former",
		Long: `Replaces a password, and ends the sessions opened with the former.

The password is the first line of --password-file, or of standard input when
something is piped into it; otherwise one is made and printed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := givenPassword(cmd, file)
			if err != nil {
				return err
			}
			set, err := perform[addedUser](cmd, "user passwd", newPassword{Name: name, Password: password})
			if err != nil {
				return err
			}
			text := fmt.Sprintf("password of user %s changed\n", name)
			if set.Password != "" {
				text += fmt.Sprintf("password: %s\n", set.Password)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	configFlag(cmd)
	cmd.Flags().StringVar(&name, "user", "", "user name")
	passwordFlag(cmd, &file)
	return requireFlags(cmd, "config", "user")
}

// printTable writes rows in columns under a heading.
func printTable[T any](w io.Writer, heading string, items []T, row func(T) string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, heading)
	for _, item := range items {
		fmt.Fprintln(t, row(item))
	}
	return t.Flush()
}
