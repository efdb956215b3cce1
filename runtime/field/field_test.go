package field

import (
	"net/textproto"
	"strings"
	"testing"
)

func TestBytesOfTokensAndValues(t *testing.T) {
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		token := c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
		if IsToken(s) != token {
			t.Errorf("IsToken(%q) is %v", s, !token)
		}
		value := c >= ' ' && c != 0x7f || c == '\t'
		if IsValue(s) != value {
			t.Errorf("IsValue(%q) is %v", s, !value)
		}
	}
}

func TestParse(t *testing.T) {
	for line, want := range map[string][2]string{
		"Content-Type: text/plain": {"Content-Type", "text/plain"},
		"x-a:b":                    {"X-A", "b"},
		"X-API-Key:":               {"X-Api-Key", ""},
		"x_A--b-c: \t a: b\t ":     {"", "a: b"},
		"ETag:   ":                 {"Etag", ""},
		"1-a: \u00fc":              {"1-A", "\u00fc"},
	} {
		if name, _, _ := strings.Cut(line, ":"); want[0] == "" {
			want[0] = textproto.CanonicalMIMEHeaderKey(name)
		}
		if key, value, err := Parse(line); err != nil || key != want[0] || value != want[1] {
			t.Errorf("%q is %q, %q, %v", line, key, value, err)
		}
	}
	for _, line := range []string{" a: b", "\ta: b", "a", ":", ": b", "a : b", "a b: c", "a\x00: b", "\u00fc: b", "a: b\x00", "a: b\rc", "a: \x7f"} {
		if key, value, err := Parse(line); err == nil {
			t.Errorf("%q is taken for %q, %q", line, key, value)
		}
	}
}
