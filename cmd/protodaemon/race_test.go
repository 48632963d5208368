//go:build race

package main

// raceEnabled tells whether the tests run with the race detector; the binary
// is then built with it too.
const raceEnabled = true
