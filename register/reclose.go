package register

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/protodaemon/protodaemon/store"
)

// reclose enters again what the witness knows of closings above the store.
// What was signed and delivered stays the closing of its day. Where its records
// are lost too, the next closing begins where the store ended, and tells of
// their numbers as entered again.
func (d *draft) reclose(a Actor, lost []store.Testimony) error {
	closings := map[string]Closing{}
	for n := range eachNote(lost) {
		if n.Kind != noteClosing {
			continue
		}
		var c Closing
		if err := json.Unmarshal(n.Closing, &c); err != nil {
			return fmt.Errorf("decoding a closing in the witness: %w", err)
		}
		closings[closingKey(c.Day, c.Sequence)] = c
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
