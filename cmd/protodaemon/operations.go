package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/store"
)

// openPatience is how long a command waits for data that another process
// holds without answering: a daemon that starts or stops, or another command.
const openPatience = 15 * time.Second

// operation is a piece of work on the data that a command orders: done by the
// daemon that holds the data, or by the command itself.
type operation struct {
	run func(ctx context.Context, s *system, params json.RawMessage) (any, error)
	// starts: may make the data directory's contents.
	starts bool
}

// operations is every operation by the name it has on the control socket.
var operations = map[string]operation{
	"user add":     {run: decoded(addUser), starts: true},
	"user list":    {run: decoded(listUsers)},
	"user disable": {run: decoded(disableUser)},
	"user passwd":  {run: decoded(setPassword)},
	"token create": {run: decoded(createToken)},
	"token list":   {run: decoded(listTokens)},
	"token revoke": {run: decoded(revokeToken)},
	"close":        {run: decoded(closeDays)},
	"prove":        {run: decoded(prove)},
	"export":       {run: decoded(exportYear)},
	"verify":       {run: decoded(verify)},
	"recover":      {run: decoded(recoverNumbers)},
}

// none are the parameters of an operation without any.
type none struct{}

// decoded gives f its parameters as it wants them.
func decoded[P, R any](f func(context.Context, *system, P) (R, error)) func(context.Context, *system, json.RawMessage) (any, error) {
	return func(ctx context.Context, s *system, raw json.RawMessage) (any, error) {
		var p P
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			return nil, fmt.Errorf("reading the parameters (is the daemon of another version?): %w", err)
		}
		return f(ctx, s, p)
	}
}

// run does an operation on the open data.
func (s *system) run(ctx context.Context, name string, params json.RawMessage) (json.RawMessage, error) {
	op, ok := operations[name]
	if !ok {
		return nil, fmt.Errorf("the daemon does not know %q; is it of another version?", name)
	}
	result, err := op.run(ctx, s, params)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// perform does an operation where the data is: in the running daemon, or here
// when there is none.
func perform[R any](cmd *cobra.Command, name string, params any) (R, error) {
	var result R
	cfg, err := loadConfig(cmd)
	if err != nil {
		return result, err
	}
	encoded, err := json.Marshal(params)
	if err != nil {
		return result, fmt.Errorf("encoding the parameters: %w", err)
	}
	raw, err := performRaw(cmd.Context(), cfg, name, encoded)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return result, fmt.Errorf("reading the answer (is the daemon of another version?): %w", err)
	}
	return result, nil
}

func performRaw(ctx context.Context, cfg *configs.Config, name string, params json.RawMessage) (json.RawMessage, error) {
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		raw, err := askDaemon(ctx, cfg.DataDir, name, params)
		if errors.Is(err, errNoDaemon) {
			raw, err = performHere(ctx, cfg, name, params)
		}
		if !errors.Is(err, store.ErrLocked) {
			return raw, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-patience.C:
			return nil, err
		case <-again.C:
		}
	}
}

// performHere opens the data for one operation.
func performHere(ctx context.Context, cfg *configs.Config, name string, params json.RawMessage) (raw json.RawMessage, err error) {
	if !operations[name].starts {
		if _, err := os.Stat(cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no data in %s yet; check data_dir, or start with: protodaemon user add", cfg.DataDir)
		}
	}
	log, err := newLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	s, err := openSystem(ctx, cfg, log, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx, name, params)
}
