package decode

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// Record is a line of output that is one JSON object with a message, as
// libraries for logging write them.
type Record struct {
	Level   string // trace, debug, info, warn, error, fatal, or what else the line says; "" if nothing
	Message string
	Fields  []Field // the others in their order, without the time
}

// Field is one of the others; Value is JSON, a text without need for quotes is bare.
type Field struct{ Key, Value string }

// ReadRecord reads a line. ok is false for every other line, which is to be shown
// as it is.
func ReadRecord(line string) (r Record, ok bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return r, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	if _, err := d.Token(); err != nil {
		return r, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return r, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return r, false
		}
		key, _ := name.(string)
		var text string
		isText := value[0] == '"' && json.Unmarshal(value, &text) == nil
		switch strings.ToLower(key) {
		case "time", "ts", "timestamp", "@timestamp", "@t":
			continue
		case "msg", "message", "@message", "@m":
			if isText && !ok {
				r.Message, ok = oneLine(text), true
				continue
			}
		case "level", "lvl", "severity", "levelname", "log.level", "@level", "@l":
			if r.Level == "" {
				r.Level = level(text, value)
				continue
			}
		}
		if isText && text != "" && !strings.ContainsFunc(text, needsQuotes) {
			r.Fields = append(r.Fields, Field{oneLine(key), text})
		} else {
			r.Fields = append(r.Fields, Field{oneLine(key), compact(value)})
		}
	}
	if _, err := d.Token(); err != nil || d.More() {
		return r, false
	}
	return r, ok
}

// level names a level, which is a text or, as bunyan and pino write it, a number.
func level(text string, value json.RawMessage) string {
	if text == "" {
		text = string(value)
	}
	switch text = oneLine(strings.ToLower(text)); text {
	case "10":
		return "trace"
	case "20":
		return "debug"
	case "30":
		return "info"
	case "40", "warning":
		return "warn"
	case "50", "err":
		return "error"
	case "60":
		return "fatal"
	}
	return text
}

func needsQuotes(r rune) bool { return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) }

// oneLine makes one line of a text, such as that of an error with its stack.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r", ""), "\n", " ↵ ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func compact(value json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return oneLine(string(value))
	}
	return oneLine(b.String())
}
