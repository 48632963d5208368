package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// used is what the templates, the page code and the script name.
type used struct {
	classes, elements, symbols map[string]bool
}

var (
	classAttribute = regexp.MustCompile(`class="([^"]*)"`)
	element        = regexp.MustCompile(`<([a-z][a-z0-9]*)`)
	symbolName     = regexp.MustCompile(`\bit-[a-z0-9]+(?:-[a-z0-9]+)*`)
	word           = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_-]*`)
)

// usedIn reads the sources of the pages below web.
func usedIn(web string) (used, error) {
	u := used{classes: map[string]bool{}, elements: map[string]bool{"html": true, "body": true}, symbols: map[string]bool{}}
	for _, pattern := range []string{"templates/*.html", "page*.go", "assets/app.js"} {
		files, err := filepath.Glob(filepath.Join(web, pattern))
		if err != nil {
			return used{}, err
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				return used{}, err
			}
			u.read(string(b))
		}
	}
	return u, nil
}

func (u used) read(source string) {
	for _, m := range classAttribute.FindAllStringSubmatch(source, -1) {
		for _, w := range word.FindAllString(m[1], -1) {
			u.classes[w] = true
		}
	}
	for _, m := range element.FindAllStringSubmatch(source, -1) {
		u.elements[m[1]] = true
	}
	for _, s := range symbolName.FindAllString(source, -1) {
		u.symbols[s] = true
	}
}

// rule is one piece of a sheet: a selector or at-rule with its block, which
// may hold rules of its own.
type rule struct{ head, body string }

// rules splits a sheet without looking into blocks. Comments but those that
// the licence asks for are dropped.
func rules(sheet string) []rule {
	var all []rule
	for i := 0; i < len(sheet); {
		open := strings.IndexAny(sheet[i:], "{;")
		if open < 0 {
			break
		}
		head := strings.TrimSpace(sheet[i : i+open])
		if sheet[i+open] == ';' { // @charset, @import
			i += open + 1
			continue
		}
		end := blockEnd(sheet, i+open)
		all = append(all, rule{head, sheet[i+open+1 : end]})
		i = end + 1
	}
	return all
}

// blockEnd returns the index of the brace that closes the one at open.
func blockEnd(s string, open int) int {
	depth, quote := 0, byte(0)
	for i := open; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

var (
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/`)
	licence    = regexp.MustCompile(`(?s)/\*!.*?\*/`)
	variable   = regexp.MustCompile(`var\((--[A-Za-z0-9_-]+)`)
	definition = regexp.MustCompile(`(--[A-Za-z0-9_-]+)\s*:[^;{}]*;?`)
)

// cutSheet keeps the rules that can match something we write and the custom
// properties that these rules or own need. Font faces and key frames go: ours
// are in fonts.css, and nothing moves.
func (u used) cutSheet(sheet, own string) string {
	notice := licence.FindString(sheet)
	kept := u.cutRules(rules(strings.TrimPrefix(comment.ReplaceAllString(sheet, ""), "\ufeff")))
	return notice + dropVariables(kept, own)
}

func (u used) cutRules(all []rule) string {
	var out strings.Builder
	for _, r := range all {
		switch {
		case strings.HasPrefix(r.head, "@media"), strings.HasPrefix(r.head, "@supports"), strings.HasPrefix(r.head, "@container"):
			if inner := u.cutRules(rules(r.body)); inner != "" {
				out.WriteString(r.head + "{" + inner + "}\n")
			}
		case strings.HasPrefix(r.head, "@"):
		default:
			if head := u.cutSelectors(r.head); head != "" {
				out.WriteString(head + "{" + r.body + "}\n")
			}
		}
	}
	return out.String()
}

func (u used) cutSelectors(list string) string {
	var kept []string
	for _, s := range splitSelectors(list) {
		if u.matches(s) {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, ",")
}

// splitSelectors splits at the commas that are not inside parentheses.
func splitSelectors(list string) []string {
	var all []string
	depth, start := 0, 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ',':
			if depth == 0 {
				all, start = append(all, list[start:i]), i+1
			}
		}
	}
	return append(all, list[start:])
}

var (
	negation  = regexp.MustCompile(`:not\([^)]*\)`)
	pseudo    = regexp.MustCompile(`::?[a-z-]+(\([^)]*\))?`)
	attribute = regexp.MustCompile(`\[[^\]]*\]`)
	byClass   = regexp.MustCompile(`\.((?:[A-Za-z0-9_-]|\\.)+)`)
	byID      = regexp.MustCompile(`#[A-Za-z]`)
)

// matches tells whether a selector names nothing that we do not have.
func (u used) matches(selector string) bool {
	s := negation.ReplaceAllString(selector, "")
	s = pseudo.ReplaceAllString(s, "")
	s = attribute.ReplaceAllString(s, "")
	if byID.MatchString(s) {
		return false
	}
	for _, m := range byClass.FindAllStringSubmatch(s, -1) {
		if !u.classes[m[1]] {
			return false
		}
	}
	for _, e := range word.FindAllString(byClass.ReplaceAllString(s, ""), -1) {
		if !u.elements[e] {
			return false
		}
	}
	return true
}

// dropVariables removes custom properties that nobody reads, until none is
// left that only another dropped one read.
func dropVariables(sheet, own string) string {
	for {
		read := make(map[string]bool)
		for _, m := range variable.FindAllStringSubmatch(sheet+own, -1) {
			read[m[1]] = true
		}
		smaller := definition.ReplaceAllStringFunc(sheet, func(d string) string {
			if read[definition.FindStringSubmatch(d)[1]] {
				return d
			}
			return ""
		})
		if smaller == sheet {
			return emptyRule.ReplaceAllString(sheet, "")
		}
		sheet = smaller
	}
}

var emptyRule = regexp.MustCompile(`(?m)^[^{}\n]*\{\s*\}\n`)
