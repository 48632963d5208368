package dovecot

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// The limits are those of a thousand clients that wait for news at once. A
// wrong password costs no waiting, neither itself nor the next login.
var configuration = template.Must(template.New("dovecot.conf").Parse(`
protocols = imap
listen = 127.0.0.1
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
log_path = {{.Dir}}/log
ssl = yes
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 4096
first_valid_uid = 1
{{- if .Unprivileged}}
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
{{- end}}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {{.Dir}}/users
}
userdb {
  driver = static
  args = uid={{.User}} gid={{.Group}} home={{.Dir}}/mail/%u
}
namespace inbox {
  inbox = yes
  prefix = {{.Prefix}}
  separator = {{.Separator}}
}
service imap-login {
  inet_listener imap {
    port = {{.Plain}}
  }
  inet_listener imaps {
    port = {{.TLS}}
    ssl = yes
  }
  service_count = 0
  client_limit = 4096
{{- if .Unprivileged}}
  chroot =
{{- end}}
}
service anvil {
  client_limit = 8192
  unix_listener anvil-auth-penalty {
    mode = 0
  }
{{- if .Unprivileged}}
  chroot =
{{- end}}
}
service imap {
  process_limit = 4096
}
service auth {
  client_limit = 8192
}
service stats {
  client_limit = 8192
{{- if .Unprivileged}}
  chroot =
{{- end}}
}
{{- if .QuotaKiB}}
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:User quota
  quota_rule = *:storage={{.QuotaKiB}}K
  quota_grace = 0
  quota_vsizes = yes
}
{{- end}}
`))

// configure writes the configuration, the users and their directories. As root
// the mail belongs to nobody, because Dovecot refuses to serve root's.
func (s *Server) configure() error {
	owner, err := user.Current()
	unprivileged := err == nil && owner.Uid != "0"
	if err == nil && !unprivileged {
		owner, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	group, err := user.LookupGroupId(owner.Gid)
	if err != nil {
		return err
	}
	var text strings.Builder
	err = configuration.Execute(&text, map[string]any{
		"Dir":          s.dir,
		"Unprivileged": unprivileged, "User": owner.Username, "Group": group.Name,
		"Prefix": s.options.Prefix, "Separator": s.options.Separator,
		"Plain": s.plain, "TLS": s.tls, "QuotaKiB": s.options.QuotaKiB,
	})
	if err != nil {
		return err
	}
	var users strings.Builder
	for i := range s.options.Users {
		fmt.Fprintf(&users, "u%d:%s\n", i+1, Password)
	}
	if err := s.write("dovecot.conf", text.String()); err != nil {
		return err
	}
	if err := s.write("users", users.String()); err != nil {
		return err
	}
	return s.makeMail(owner)
}

func (s *Server) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644)
}

// makeMail makes the directory of the users' mail, with the way to it.
func (s *Server) makeMail(owner *user.User) error {
	mail := filepath.Join(s.dir, "mail")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return os.Chown(mail, uid, -1)
}
