package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// broken stands in for a value that could not be read. It is a character for
// private use, so that nobody writes it.
const broken = "\U0010F0FD"

// maxSyntax bounds how often reading goes on after a mistake in the syntax.
const maxSyntax = 20

// parse reads the text as TOML. The parser stops at the first mistake; when
// that lies within one statement, parse puts a stand-in there and goes on, so
// that later mistakes are found as well. It is false when the rest of the file
// cannot be judged.
func (d *decoder) parse() (root map[string]any, whole bool) {
	if len(d.index.text) > maxSize {
		d.errs = append(d.errs, &Error{Place: Place{File: d.file}, Msg: fmt.Sprintf("larger than %d bytes: this is no mesh.toml", maxSize)})
		return nil, false
	}
	if d.index.tooDeep >= 0 {
		d.report(d.index.tooDeep, "", fmt.Sprintf("more than %d arrays and tables inside each other", maxDepth), "")
		return nil, false
	}
	text := d.index.text
	for range maxSyntax {
		root, err := decodeTOML(text)
		if err == nil {
			return root, true
		}
		var mistake toml.ParseError
		if !errors.As(err, &mistake) {
			d.errs = append(d.errs, &Error{Place: Place{File: d.file}, Msg: err.Error()})
			return nil, false
		}
		// Stand-ins change what follows on their lines only, so the start of
		// a line tells how far the patched text has moved.
		line, column := newLines(text).position(mistake.Position.Start)
		offset := d.index.offset(line, column)
		d.syntax(mistake, offset)
		var ok bool
		if text, ok = d.patch(text, line, offset, mistake.Message); !ok {
			return nil, false
		}
	}
	return nil, false
}

// decodeTOML is the parser, with a mistake of its own turned into an error:
// no text may bring down a running mesh.
func decodeTOML(text string) (root map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("this is not TOML: %v", r)
		}
	}()
	_, err = toml.Decode(text, &root)
	return root, err
}

// patch replaces the value of the statement at an offset by the stand-in, or
// all of the statement when it has no value of its own. It is false when the
// mistake is not within one statement.
func (d *decoder) patch(text string, line, offset int, msg string) (string, bool) {
	for _, st := range d.index.statements {
		first, _ := d.index.position(st.start)
		last, _ := d.index.position(st.end)
		if offset < st.start || line < first || line > last || !st.closed && first != last {
			continue
		}
		lines := strings.SplitAfter(text, "\n")
		head := "" // a key given twice leaves nothing behind
		key := strings.TrimSpace(d.index.text[st.start:st.end])
		switch {
		case st.value > 0 && (offset >= st.value || !strings.Contains(msg, "already")):
			head = d.index.text[d.index.lines[first-1]:st.value] + `"` + broken + `"`
		case st.value == 0 && key != "" && strings.Trim(key, bareChars) == "":
			head = key + ` = "` + broken + `"`
		}
		if strings.Contains(lines[first-1], broken) || lines[first-1] == "\n" {
			return text, false // patched before: that did not help
		}
		lines[first-1] = head + "\n"
		for i := first; i < last; i++ {
			lines[i] = "\n"
		}
		return strings.Join(lines, ""), true
	}
	return text, false
}

// syntax reports what the parser said, in words that help.
func (d *decoder) syntax(e toml.ParseError, offset int) {
	msg, hint := e.Message, ""
	twice := regexp.MustCompile(`^Key '(.*)' (has already been defined|was already created.*)\.$`)
	bare := regexp.MustCompile(`^expected value but found "(\w+)" instead$`)
	switch {
	case twice.MatchString(msg):
		key := twice.FindStringSubmatch(msg)[1]
		msg = key + " is given twice"
		if s, ok := d.index.spots[key]; ok {
			line, _ := d.index.position(s.key)
			hint = fmt.Sprintf("it stands on line %d already", line)
		}
	case bare.MatchString(msg):
		word := bare.FindStringSubmatch(msg)[1]
		msg = "a value cannot begin with " + word
		hint = `write text in quotes: "` + word + ` …"`
	case strings.Contains(msg, "strings cannot contain newlines"):
		msg, hint = "the text does not end on its line", `close it with a quote, or use """ for text of several lines`
	case strings.Contains(msg, "invalid escape"):
		hint = `write \\ for a backslash, or put the text in single quotes`
	case strings.Contains(msg, "control characters"):
		hint = "remove the character, or write it as an escape such as \\u001b"
	case strings.HasPrefix(msg, "expected '.' or '=', but got '\\n'"), strings.HasPrefix(msg, "expected value but found '\\n'"):
		msg, hint = "a key without a value", "write it as key = value on one line, or remove it"
	default:
		msg = strings.ReplaceAll(msg, `'\n' instead`, "the end of the line")
		if r, n := utf8.DecodeRuneInString(msg); n > 0 {
			msg = strings.ToLower(string(r)) + msg[n:]
		}
	}
	for _, st := range d.index.statements {
		began, _ := d.index.position(st.start)
		if line, _ := d.index.position(offset); !st.closed && st.start < offset && offset <= st.end && began < line {
			hint = fmt.Sprintf("the value that begins on line %d is not closed", began)
		}
	}
	d.report(offset, "", msg, hint)
}
