package decode

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadRecord(t *testing.T) {
	for _, c := range []struct {
		line string
		want Record
	}{
		{`{"time":"2026-01-02T15:04:05Z","level":"ERROR","msg":"paying","order":7,"why":"no money","to":"bill"}`, // slog
			Record{"error", "paying", []Field{{"order", "7"}, {"why", `"no money"`}, {"to", "bill"}}}},
		{`{"level":40,"time":1700000000000,"pid":1,"msg":"slow"}`, Record{"warn", "slow", []Field{{"pid", "1"}}}},                                                // pino
		{` {"ts":1.7,"level":"info","msg":"up","at":{"port": 8080, "tls": [true]}}` + "\r", Record{"info", "up", []Field{{"at", `{"port":8080,"tls":[true]}`}}}}, // zap
		{`{"severity":"WARNING","message":"a\n\tb\u001b[2J","x":""}`, Record{"warn", "a ↵  b [2J", []Field{{"x", `""`}}}},
		{`{ "msg" : "spaced" , "level":  "Info", "a" : 1 }`, Record{"info", "spaced", []Field{{"a", "1"}}}},
		{`{"msg":"alone"}`, Record{"", "alone", nil}},
	} {
		if got, ok := ReadRecord(c.line); !ok || cmp.Diff(c.want, got) != "" {
			t.Errorf("%s is read as %+v, %v, want %+v", c.line, got, ok, c.want)
		}
	}
	for _, line := range []string{
		"", "{}", "listening", `{"id":7}`, `{"msg":7}`, `{"msg":"a"} {"msg":"b"}`, `{"msg":"a"`, `{"msg":"a",}`, `["msg"]`, `{"msg":"a"}x}`, strings.Repeat("{", 100) + "}",
	} {
		if got, ok := ReadRecord(line); ok {
			t.Errorf("%q is read as %+v", line, got)
		}
	}
}
