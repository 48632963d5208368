package register

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/protodaemon/protodaemon/store"
)

// reclose enters again what the witness knows of closings above the store.
// What was signed and delivered stays the closing of its day. Where its records
// are lost too, the next closing begins where the store ended, and tells of
// their numbers as entered again.
func (d *draft) reclose(a Actor, lost []store.Testimony) error {
	closings, err := lostClosings(lost)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(closings)) {
		c := closings[key]
		c.Recovered = c.Recovered || c.Resume > d.head.Seq
		c.Resume = min(c.Resume, d.head.Seq)
		counter := closingCounter(c.Day[:4])
		row := encode(c)
		d.add(change{
			typ: typeClosingChanged,
			fact: fact{By: a.User, Name: a.Name, Closing: c.ID,
				Detail: encode(closingChange{Change: changeRecovered, State: c.State})},
			rows: []store.Row{
				{Kind: rowClosing, Key: key, Value: row},
				{Kind: rowSetting, Key: settingClosed, Value: encode(c.Day)},
			},
			counters: map[string]uint64{counter: max(d.counters[counter], uint64(c.Progressive))},
			witness:  encode(note{Kind: noteClosing, Closing: row}),
		})
	}
	return nil
}

// lostClosings are those that the witness tells of, by the keys of their rows.
func lostClosings(lost []store.Testimony) (map[string]Closing, error) {
	closings := map[string]Closing{}
	for n := range eachNote(lost) {
		if n.Kind != noteClosing {
			continue
		}
		var c Closing
		if err := json.Unmarshal(n.Closing, &c); err != nil {
			return nil, fmt.Errorf("decoding a closing in the witness: %w", err)
		}
		closings[closingKey(c.Day, c.Sequence)] = c
	}
	return closings, nil
}

// toldThrough is the number up to which closings tell of each year, those that
// only the witness knows included.
func (b *book) toldThrough(ctx context.Context, lost []store.Testimony) (map[int]uint64, error) {
	told := map[int]uint64{}
	note := func(c Closing) {
		year, errYear := strconv.Atoi(c.Day[:4])
		n, err := strconv.ParseUint(c.LastNumber, 10, 64)
		if errYear == nil && err == nil {
			told[year] = max(told[year], n)
		}
	}
	closings, err := lostClosings(lost)
	if err != nil {
		return nil, err
	}
	for _, c := range closings {
		note(c)
	}
	err = eachRow(ctx, b.journal, store.Range{Kind: rowClosing}, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		if err == nil {
			note(c)
		}
		return err == nil, err
	})
	return told, err
}
