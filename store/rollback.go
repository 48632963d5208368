package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

func (j *journal) loss() *loss {
	j.f.stateMu.Lock()
	defer j.f.stateMu.Unlock()
	return j.f.state(j.name).lost
}

// Witnessed reads the witness's file; nothing is lost while the journal is not
// rolled back.
func (j *journal) Witnessed(ctx context.Context) ([]Testimony, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	lost := j.loss()
	if lost == nil {
		return nil, nil
	}
	return j.f.testimonies(j.name, lost.agreed)
}

// Resume appends c and lets the witness know that the chain goes on from here.
func (j *journal) Resume(ctx context.Context, c Commit) (Head, error) {
	lost := j.loss()
	if lost == nil {
		return Head{}, fmt.Errorf("resuming %s: it is not rolled back", j.name)
	}
	h, err := j.append(ctx, c, lost)
	if err != nil {
		return Head{}, fmt.Errorf("resuming %s: %w", j.name, err)
	}
	return h, nil
}

// unwitnessed collects the notes of records that the store has and the witness
// has not, when both went separate ways behind agreed.
func (j *journal) unwitnessed(agreed, head uint64) ([]json.RawMessage, error) {
	if head <= agreed {
		return nil, nil
	}
	lines, err := j.f.records(j.name, agreed, int(head-agreed))
	var notes []json.RawMessage
	for _, s := range lines {
		l, bad := decodeLine(s.line)
		err = errors.Join(err, bad)
		if l.Witness != nil {
			notes = append(notes, l.Witness)
		}
	}
	return notes, err
}
