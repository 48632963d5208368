package register

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/store"
)

// shippedPlan is the filing plan (titolario) that a new organization starts
// with, made for a professional order.
//
//go:embed filing-plan.csv
var shippedPlan string

// Class is one voce of the filing plan.
type Class struct {
	Code  string `json:"code"`
	Title string `json:"title"`
}

// defaultPlan is the shipped plan as rows.
func defaultPlan() []store.Row {
	lines, err := csv.NewReader(strings.NewReader(shippedPlan)).ReadAll()
	if err != nil {
		panic("register: the shipped filing plan: " + err.Error())
	}
	var rows []store.Row
	for _, l := range lines[1:] {
		rows = append(rows, store.Row{Kind: rowClass, Key: rowKey(l[0]), Value: encode(Class{Code: l[0], Title: l[1]})})
	}
	return rows
}

// Classes lists the organization's filing plan.
func (o *Office) Classes(ctx context.Context, a Actor, org string) ([]Class, error) {
	if err := a.may(Read, org, ""); err != nil {
		return nil, err
	}
	ag, err := o.agency(org)
	if err != nil {
		return nil, err
	}
	classes := []Class{}
	err = eachRow(ctx, ag.ledger.journal, store.Range{Kind: rowClass}, func(row store.Row) (bool, error) {
		var c Class
		err := json.Unmarshal(row.Value, &c)
		classes = append(classes, c)
		return err == nil, err
	})
	slices.SortFunc(classes, func(a, b Class) int { return compareCodes(a.Code, b.Code) })
	return classes, err
}

// compareCodes orders 2.10 after 2.9.
func compareCodes(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		n, errX := strconv.Atoi(x)
		m, errY := strconv.Atoi(y)
		if errX != nil || errY != nil {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(n, m)
	})
}

// checkClass refuses a class that the filing plan does not have.
func (ag *agency) checkClass(ctx context.Context, code string) error {
	var c Class
	ok, err := readRow(ctx, ag.ledger.journal, rowClass, rowKey(code), &c)
	if err == nil && !ok {
		err = &FieldError{"classification", fmt.Sprintf("class %q is not in the filing plan", clip(code, maxCode))}
	}
	return err
}
