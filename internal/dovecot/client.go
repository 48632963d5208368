package dovecot

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Client is a connection of a user straight to Dovecot, past any proxy. It
// knows just enough IMAP to look and to do what an operator's mail program
// does.
type Client struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

// Response is one untagged response: its text, in which each literal stands
// as {n}, and the literals.
type Response struct {
	Text     string
	Literals [][]byte
}

// Message is what a folder holds under a UID.
type Message struct {
	UID   uint32
	Flags []string
	Raw   []byte
}

// Login connects a user ("u1"). A command that is not answered within a minute
// fails.
func (s *Server) Login(user string) (*Client, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", loopback(s.tls),
		&tls.Config{InsecureSkipVerify: true}) // the certificate may be expired on purpose
	if err != nil {
		return nil, fmt.Errorf("connecting to dovecot: %w", err)
	}
	c := newClient(conn)
	if _, err := c.response(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := c.Do(fmt.Sprintf("LOGIN %s %q", user, Password)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func newClient(conn net.Conn) *Client { return &Client{conn: conn, r: bufio.NewReader(conn)} }

// Close ends the connection without a word, as a program that dies does.
func (c *Client) Close() error { return c.conn.Close() }

// Do sends a command without its tag and returns the untagged responses. An
// answer other than OK is an error.
func (c *Client) Do(command string) ([]Response, error) {
	return c.do(command, nil)
}

func (c *Client) do(command string, literal []byte) ([]Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	c.tag++
	tag := fmt.Sprintf("c%d ", c.tag)
	text := tag + command
	if literal != nil {
		text += fmt.Sprintf(" {%d+}\r\n%s", len(literal), literal)
	}
	if _, err := io.WriteString(c.conn, text+"\r\n"); err != nil {
		return nil, err
	}
	var all []Response
	for {
		r, err := c.response()
		if err != nil {
			return nil, fmt.Errorf("awaiting the answer to %s: %w", command, err)
		}
		if status, done := strings.CutPrefix(r.Text, tag); done {
			if !strings.HasPrefix(status, "OK") {
				return all, fmt.Errorf("%s: %s", command, status)
			}
			return all, nil
		}
		all = append(all, r)
	}
}

var literalEnd = regexp.MustCompile(`\{(\d+)\+?\}\r\n$`)

// response reads one response with its literals.
func (c *Client) response() (Response, error) {
	var r Response
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return r, err
		}
		r.Text += strings.TrimSuffix(line, "\r\n")
		size := literalEnd.FindStringSubmatch(line)
		if size == nil {
			return r, nil
		}
		n, err := strconv.Atoi(size[1])
		if err != nil {
			return r, err
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			return r, err
		}
		r.Literals = append(r.Literals, literal)
	}
}

// Append puts a message into a folder.
func (c *Client) Append(folder string, raw []byte) error {
	if raw == nil {
		raw = []byte{}
	}
	_, err := c.do(fmt.Sprintf("APPEND %q", folder), raw)
	return err
}

var (
	uidItem   = regexp.MustCompile(`\bUID (\d+)`)
	flagsItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// Messages opens the folder for reading only and returns what it holds, by
// ascending UID.
func (c *Client) Messages(folder string) ([]Message, error) {
	if _, err := c.Do(fmt.Sprintf("EXAMINE %q", folder)); err != nil {
		return nil, err
	}
	responses, err := c.Do("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
	if err != nil {
		return nil, err
	}
	var messages []Message
	for _, r := range responses {
		uid, flags := uidItem.FindStringSubmatch(r.Text), flagsItem.FindStringSubmatch(r.Text)
		if uid == nil || flags == nil || len(r.Literals) != 1 {
			continue // EXISTS, or flags that somebody changed
		}
		n, err := strconv.ParseUint(uid[1], 10, 32)
		if err != nil {
			return nil, err
		}
		messages = append(messages, Message{uint32(n), strings.Fields(flags[1]), r.Literals[0]})
	}
	return messages, nil
}

// Folders lists the user's folders, or only the subscribed ones.
func (c *Client) Folders(subscribed bool) ([]string, error) {
	command := `LIST "" "*"`
	if subscribed {
		command = `LSUB "" "*"`
	}
	responses, err := c.Do(command)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range responses {
		// * LIST (\HasNoChildren) "." INBOX.sub
		if _, rest, ok := strings.Cut(r.Text, `) "`); ok {
			_, name, _ := strings.Cut(rest, `" `)
			names = append(names, strings.Trim(name, `"`))
		}
	}
	return names, nil
}

// Append puts a message into a user's folder, on a connection of its own.
func (s *Server) Append(user, folder string, raw []byte) error {
	return s.with(user, func(c *Client) error { return c.Append(folder, raw) })
}

// Create makes a folder.
func (s *Server) Create(user, folder string) error {
	return s.with(user, func(c *Client) error {
		_, err := c.Do(fmt.Sprintf("CREATE %q", folder))
		return err
	})
}

// Messages returns what a user's folder holds, by ascending UID.
func (s *Server) Messages(user, folder string) (messages []Message, err error) {
	err = s.with(user, func(c *Client) error {
		messages, err = c.Messages(folder)
		return err
	})
	return messages, err
}

// Folders lists a user's folders, or only the subscribed ones.
func (s *Server) Folders(user string, subscribed bool) (names []string, err error) {
	err = s.with(user, func(c *Client) error {
		names, err = c.Folders(subscribed)
		return err
	})
	return names, err
}

func (s *Server) with(user string, do func(*Client) error) error {
	c, err := s.Login(user)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}
