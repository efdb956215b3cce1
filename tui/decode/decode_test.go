package decode_test

import (
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"

	"mesh/tui/decode"
)

// framed puts gRPC's prefix before a message.
func framed(m []byte) []byte {
	return append([]byte{0, byte(len(m) >> 24), byte(len(m) >> 16), byte(len(m) >> 8), byte(len(m))}, m...)
}

func TestForms(t *testing.T) {
	var inner, m []byte
	inner = protowire.AppendTag(inner, 1, protowire.BytesType)
	inner = protowire.AppendBytes(inner, []byte("Ada"))
	inner = protowire.AppendTag(inner, 2, protowire.Fixed32Type)
	inner = protowire.AppendFixed32(inner, 7)
	m = protowire.AppendTag(m, 1, protowire.VarintType)
	m = protowire.AppendVarint(m, 150)
	m = protowire.AppendTag(m, 3, protowire.BytesType)
	m = protowire.AppendBytes(m, inner)
	grpc := []string{"message of 15 bytes", "  1: 150", "  3 {", `    1: "Ada"`, "    2: 0x00000007", "  }"}
	for _, c := range []struct {
		name, media, kind, in string
		form                  decode.Form
		want                  []string
	}{
		{"text", "text/plain", "http", "one\r\ntwo\n", decode.Text, []string{"one", "two"}},
		{"an object", "", "http", `{"a":[1,2.50],"b":"ü"}`, decode.JSON, []string{"{", `  "a": [`, "    1,", "    2.50", "  ],", `  "b": "ü"`, "}"}},
		{"lines of JSON", "application/x-ndjson", "http", "{}\n{\"a\":1}\n", decode.JSON, []string{"{}", "{", `  "a": 1`, "}"}},
		{"half an object", "application/json", "http", `{"a":1`, decode.Text, []string{`{"a":1`}},
		{
			"events", "text/event-stream; charset=utf-8", "http", "event: token\ndata: {\"t\":\"hi\"}\n\ndata: [DONE]\n\n", decode.SSE,
			[]string{"event: token", "data:", "  {", `    "t": "hi"`, "  }", "", "data: [DONE]"},
		},
		{"events by their look", "", "http", "data: x\n\n", decode.SSE, []string{"data: x"}},
		{"gRPC", "", "grpc", string(framed(m)), decode.GRPC, grpc},
		{
			"two messages, the second cut", "application/grpc+proto", "http", string(append(framed(m), framed(m)[:7]...)), decode.GRPC,
			append(slices.Clone(grpc), "message of 15 bytes, of which 2 are here:", "  2 bytes that are no field:", "0000  08 96                                             .."),
		},
		{"an empty message", "", "grpc", string(framed(nil)), decode.GRPC, []string{"message of 0 bytes"}},
		{"numbers", "image/png", "http", "\x89PNG\r\n\x1a\n\x00", decode.Hex, []string{"0000  89 50 4e 47 0d 0a 1a 0a  00                       .PNG....."}},
		{"text cut within a character", "", "http", "gr\xc3\xbc\xc3", decode.Text, []string{`grü\xc3`}},
		{"control characters", "", "http", "a\x1b[2Jb\tc", decode.Text, []string{"a␛[2Jb    c"}},
	} {
		form := decode.Guess(c.media, c.kind, []byte(c.in))
		if form != c.form {
			t.Errorf("%s: shown as %v, want %v", c.name, form, c.form)
			continue
		}
		if got := decode.Lines(form, []byte(c.in), 100); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestAnyBytes shows any bytes in every form: nothing fails, no line is
// endless or holds what a terminal would obey, and there are not too many.
func TestAnyBytes(t *testing.T) {
	check := func(media string, b []byte, most uint8) bool {
		for _, in := range [][]byte{b, framed(b), append([]byte("data: "), b...), append([]byte(`{"a":`), b...)} {
			decode.Guess(media, "grpc", in)
			for f := range decode.Forms {
				lines := decode.Lines(f, in, int(most))
				if len(lines) > int(most) {
					return false
				}
				for _, l := range lines {
					if len(l) > 5*4096 || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
						return false
					}
				}
			}
		}
		return true
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("text/event-stream", []byte("data: {}\n\n"))
	f.Add("application/grpc", []byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add("", []byte(strings.Repeat("\x0b", 300)+strings.Repeat("\x0c", 300)))
	f.Add("application/json", []byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, media string, b []byte) {
		form := decode.Guess(media, "grpc", b)
		for _, l := range append(decode.Lines(form, b, 200), decode.Lines(decode.GRPC, b, 200)...) {
			if strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is no line to show", l)
			}
		}
	})
}
