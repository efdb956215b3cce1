package export

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"mesh/runtime/flow"
)

// Callable says why a flow cannot be made again by a request to a sidecar; nil: it
// can.
func Callable(v *flow.View) error {
	switch v.Kind {
	case "http", "":
		return nil
	case "grpc":
		if strings.Count(v.Path, "/") == 1 && !strings.Contains(v.Path, ".") { // InvokeService, which goes by HTTP as well
			return nil
		}
		return fmt.Errorf("a gRPC call: only grpcurl makes it again, with -H 'dapr-app-id: %s'", v.Callee)
	}
	return errors.New("only calls of apps over HTTP can be made again")
}

// Curl gives a command line that makes the call again. Secrets are to be filled
// in by who runs it; what was not captured is said in comments.
func Curl(r *Record) (string, error) {
	if err := Callable(&r.View); err != nil {
		return "", err
	}
	var b strings.Builder
	data, missing := r.body(flow.Request)
	if missing != "" {
		b.WriteString("# " + missing + ": the body is read from stdin\n")
		data = nil
	}
	if r.Request.Limit == 0 {
		b.WriteString("# its headers were not captured\n")
	}
	pipe := len(data) > 0 && (!utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0)
	if pipe {
		b.WriteString("echo " + quote(base64.StdEncoding.EncodeToString(data)) + " | base64 -d | ")
	}
	b.WriteString("curl -sN -X " + quote(r.Verb) + " " + quote(r.URL()))
	for _, key := range sentHeaders(r.Request.Header) {
		for _, v := range r.Request.Header[key] {
			b.WriteString(" \\\n  -H " + quote(key+": "+v))
		}
	}
	switch {
	case pipe, missing != "":
		b.WriteString(" \\\n  --data-binary @-")
	case len(data) > 0:
		b.WriteString(" \\\n  --data-raw " + quote(string(data)))
	}
	return b.String() + "\n", nil
}

// Sent says whether a header goes along when a call is made again: not one that a
// client sends by itself, or that says how one hop framed the bytes.
func Sent(key string) bool {
	switch http.CanonicalHeaderKey(key) {
	case "Content-Length", "Transfer-Encoding", "Connection", "Host", "Dapr-App-Id", "Dapr-Caller-App-Id", "Dapr-Callee-App-Id", "Traceparent", "Tracestate", "Expect":
		return false
	}
	return true
}

// sentHeaders names the headers that are to be sent again, sorted.
func sentHeaders(h http.Header) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(h)), func(k string) bool { return !Sent(k) })
}

// quote makes one word of a POSIX shell of any text.
func quote(s string) string {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._/:=@%+,", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
