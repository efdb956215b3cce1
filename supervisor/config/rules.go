package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// varShape allows a variable where something other than text is expected.
func varShape() shape { return shape{"type": "string", "pattern": `\$\{`} }

// text is any text, with variables expanded.
func text() rule[string] {
	return rule[string]{shape{"type": "string"}, func(d *decoder, n node) (string, bool) {
		s, ok := n.value.(string)
		if !ok {
			d.mustBe(n, "text", inQuotes(n.value))
			return "", false
		}
		s, ok = d.expand(n.path, s)
		if ok && strings.Contains(s, "\x00") {
			d.wrong(n.path, n.path+" must not hold a NUL character", "")
			return "", false
		}
		return s, ok
	}}
}

// inQuotes is the hint for a plain value where text is expected.
func inQuotes(v any) string {
	switch v.(type) {
	case int64, float64, bool:
		return fmt.Sprintf(`write "%v"`, v)
	}
	return ""
}

// filled is text that is not empty.
func filled() rule[string] {
	return where(text(), shape{"minLength": 1}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "must not be empty", ""
		}
		return "", ""
	})
}

// where adds a demand to a rule: wrong says in what way a value fails it,
// after the key, and what to do.
func where[V any](r rule[V], more shape, wrong func(V) (msg, hint string)) rule[V] {
	s := maps.Clone(r.shape)
	maps.Copy(s, more)
	return rule[V]{s, func(d *decoder, n node) (V, bool) {
		v, ok := r.read(d, n)
		if !ok {
			return v, false
		}
		if msg, hint := wrong(v); msg != "" {
			d.wrong(n.path, n.path+" "+msg, hint)
			return v, false
		}
		return v, true
	}}
}

// shell is a line for the shell, which expands variables itself.
func shell() rule[string] {
	return rule[string]{shape{"type": "string", "minLength": 1}, func(d *decoder, n node) (string, bool) {
		s, ok := n.value.(string)
		switch {
		case !ok:
			d.mustBe(n, "a line for the shell", "")
		case strings.TrimSpace(s) == "" || strings.Contains(s, "\x00"):
			d.wrong(n.path, n.path+" must be a line for the shell", "")
		default:
			return s, true
		}
		return "", false
	}}
}

// enum is one of a few words.
func enum(words ...string) rule[string] {
	r := where(text(), nil, func(s string) (string, string) {
		if slices.Contains(words, s) {
			return "", ""
		}
		return fmt.Sprintf("must be %s, not %q", oneOf(words), s), didYouMean(s, words)
	})
	r.shape = shape{"anyOf": []shape{{"enum": words}, varShape()}}
	return r
}

// oneOf lists words with commas and "or".
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// number is a number between two others, of one of two kinds.
func number[V int | float64](kind string, least, most V) rule[V] {
	s := shape{"type": kind, "minimum": least}
	what := fmt.Sprintf("a number of at least %v", least)
	if float64(most) < math.MaxInt32 {
		s["maximum"] = most
		what = fmt.Sprintf("a number from %v to %v", least, most)
	}
	return rule[V]{shape{"anyOf": []shape{s, varShape()}}, func(d *decoder, n node) (V, bool) {
		v, hint := n.value, plainNumber(n.value)
		if s, ok := v.(string); ok && strings.Contains(s, "${") {
			s, ok := d.expand(n.path, s)
			if !ok {
				return 0, false
			}
			n.value = s
			if f, err := strconv.ParseFloat(s, 64); err == nil {
				v = f
			}
		}
		f, ok := v.(float64)
		if i, isInt := v.(int64); isInt {
			f, ok = float64(i), true
		}
		if ok && f >= float64(least) && f <= float64(most) && float64(V(f)) == f {
			return V(f), true
		}
		d.mustBe(n, what, hint)
		return 0, false
	}}
}

// plainNumber is the hint for a number in quotes.
func plainNumber(v any) string {
	if s, ok := v.(string); ok {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return "write " + s + " without quotes"
		}
	}
	return ""
}

func integer(least, most int) rule[int] { return number("integer", least, most) }
func portNumber() rule[int]             { return integer(1, 65535) }
func share() rule[float64]              { return number("number", 0.0, 1) }

// boolean is true or false.
func boolean() rule[bool] {
	return rule[bool]{shape{"anyOf": []shape{{"type": "boolean"}, varShape()}}, func(d *decoder, n node) (bool, bool) {
		if s, ok := n.value.(string); ok && strings.Contains(s, "${") {
			s, ok := d.expand(n.path, s)
			if !ok {
				return false, false
			}
			n.value = s
			if s == "true" || s == "false" {
				return s == "true", true
			}
		}
		v, ok := n.value.(bool)
		if !ok {
			hint := ""
			if n.value == "true" || n.value == "false" {
				hint = fmt.Sprintf("write %s without quotes", n.value)
			}
			d.mustBe(n, "true or false", hint)
		}
		return v, ok
	}}
}

// duration is a length of time such as "1.5s", zero included.
func duration() rule[time.Duration] {
	const example = `"300ms", "15s" or "1m30s"`
	return rule[time.Duration]{
		shape{"type": "string", "pattern": `^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$|\$\{`},
		func(d *decoder, n node) (time.Duration, bool) {
			s, ok := n.value.(string)
			if !ok {
				hint := ""
				if i, isInt := n.value.(int64); isInt {
					hint = fmt.Sprintf(`write "%ds" for seconds or "%dms" for milliseconds`, i, i)
				}
				d.mustBe(n, "a duration such as "+example, hint)
				return 0, false
			}
			if s, ok = d.expand(n.path, s); !ok {
				return 0, false
			}
			v, err := time.ParseDuration(s)
			switch {
			case err != nil:
				hint := ""
				if _, err := strconv.Atoi(s); err == nil {
					hint = fmt.Sprintf(`write "%ss" for seconds or "%sms" for milliseconds`, s, s)
				}
				d.wrong(n.path, fmt.Sprintf("%s must be a duration such as %s, not %q", n.path, example, s), hint)
			case v < 0:
				d.wrong(n.path, n.path+" must not be negative", "")
			default:
				return v, true
			}
			return 0, false
		},
	}
}

// interval is a length of time above zero.
func interval() rule[time.Duration] {
	return where(duration(), nil, func(v time.Duration) (string, string) {
		if v == 0 {
			return "must be longer than zero", ""
		}
		return "", ""
	})
}

// size is a number of bytes: 65536 or "64KiB".
func size() rule[int64] {
	units := map[string]float64{"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
	form := regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)
	return rule[int64]{
		shape{"anyOf": []shape{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": `^[0-9]+(\.[0-9]+)? ?([kKMG]i?)?B?$|\$\{`}}},
		func(d *decoder, n node) (int64, bool) {
			if i, ok := n.value.(int64); ok && i >= 0 {
				return i, true
			}
			s, ok := n.value.(string)
			if ok {
				if s, ok = d.expand(n.path, s); !ok {
					return 0, false
				}
				n.value = s
			}
			if m := form.FindStringSubmatch(s); m != nil {
				f, err := strconv.ParseFloat(m[1], 64)
				unit, known := units[m[2]]
				if err == nil && known && f*unit < math.MaxInt64 {
					return int64(f * unit), true
				}
			}
			d.mustBe(n, `a size such as 65536, "64KiB" or "4MiB"`, "")
			return 0, false
		},
	}
}

// upTo is a size that is not larger than some.
func upTo(r rule[int64], most int64) rule[int64] {
	return where(r, nil, func(n int64) (string, string) {
		if n > most {
			return fmt.Sprintf("must be %d bytes at most", most), ""
		}
		return "", ""
	})
}

// maxCapture is the most that is kept of one body: all of them share memory.
const maxCapture = 4 << 20

// list is any number of values of one kind.
func list[V any](r rule[V]) rule[[]V] {
	return rule[[]V]{shape{"type": "array", "items": r.shape}, func(d *decoder, n node) ([]V, bool) {
		items, ok := elements(n.value)
		if !ok {
			hint := ""
			if s, isText := n.value.(string); isText {
				hint = fmt.Sprintf("write [%q]", s)
			}
			d.mustBe(n, "a list", hint)
			return nil, false
		}
		whole := true
		var values []V
		for i, item := range items {
			v, ok := try(d, r, node{element(n.path, i), item})
			whole = whole && ok
			values = append(values, v)
		}
		return values, whole
	}}
}

// elements gives the values of a list of either kind that the parser makes.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []map[string]any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		return items, true
	}
	return nil, false
}

// dict is a table whose keys are names. name checks one and may be nil; set,
// which may be nil, tells the value its name.
func dict[V any](r rule[V], name func(key string) (msg, hint string), set func(*V, string)) rule[map[string]V] {
	return rule[map[string]V]{shape{"type": "object", "additionalProperties": r.shape}, func(d *decoder, n node) (map[string]V, bool) {
		table, ok := n.value.(map[string]any)
		if !ok {
			d.mustBe(n, "a table", "write ["+n.path+".NAME] with the keys below it")
			return nil, false
		}
		values := map[string]V{}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			path := join(n.path, key)
			if name != nil {
				if msg, hint := name(key); msg != "" {
					d.wrongKey(path, msg, hint)
				}
			}
			// A value with mistakes is kept: others may refer to its name.
			v, _ := try(d, r, node{path, table[key]})
			if set != nil {
				set(&v, key)
			}
			values[key] = v
		}
		return values, true
	}}
}

// scalar is text, a number or true or false, as text; a list is written as JSON.
func scalar() rule[string] {
	return rule[string]{shape{"type": []string{"string", "number", "boolean", "array"}}, func(d *decoder, n node) (string, bool) {
		switch v := n.value.(type) {
		case int64, float64, bool:
			return fmt.Sprint(v), true
		case time.Time:
			return v.Format(time.RFC3339Nano), true
		case []any:
			if b, err := json.Marshal(v); err == nil {
				return string(b), true
			}
		}
		return text().read(d, n)
	}}
}

// path is the path of a file or folder, made absolute.
func path() rule[string] {
	return rule[string]{filled().shape, func(d *decoder, n node) (string, bool) {
		s, ok := filled().read(d, n)
		if ok && !filepath.IsAbs(s) {
			s = filepath.Join(d.dir, s)
		}
		return s, ok
	}}
}

// glob is a pattern such as "**/*.go".
func glob() rule[string] {
	return where(filled(), nil, func(s string) (string, string) {
		if !doublestar.ValidatePattern(s) {
			return fmt.Sprintf("is not a pattern: %q", s), "a bracket or brace is not closed"
		}
		return "", ""
	})
}

// expression is a regular expression.
func expression() rule[string] {
	return where(filled(), shape{"format": "regex"}, func(s string) (string, string) {
		if _, err := regexp.Compile(s); err != nil {
			return "is not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "), `write \\ or use single quotes for a backslash`
		}
		return "", ""
	})
}
