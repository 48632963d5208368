// Command enmime measures what enmime needs to take messages apart; see
// ../gmime.c. It decodes what it reads. It is a module of its own so that the
// program's modules do not depend on it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/jhillyerd/enmime/v2"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "enmime:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	var messages [][]byte
	size := 0
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		raw, err := os.ReadFile(names.Text())
		if err != nil {
			return err
		}
		messages = append(messages, raw)
		size += len(raw)
	}
	begun := cpu()
	parts := 0
	for range rounds {
		parts = 0
		for _, raw := range messages {
			root, err := enmime.ReadParts(bytes.NewReader(raw))
			if err != nil { // it refuses some of the malformed ones
				continue
			}
			parts += len(root.DepthMatchAll(func(*enmime.Part) bool { return true }))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"bytes": size, "parts": parts, "cpu": cpu() - begun})
}

func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails only on wrong arguments
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
