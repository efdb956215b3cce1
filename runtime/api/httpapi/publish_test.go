package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/stream"
)

// TestPublishErrors: what cannot be published is said with Dapr's codes.
func TestPublishErrors(t *testing.T) {
	s := blocks(t)
	for _, tc := range []struct {
		verb, path, body, contentType string
		status                        int
		want                          string
	}{
		{"POST", "/v1.0/publish/broker/open", `{"a":1}`, "application/json", 204, ""},
		{"PUT", "/v1.0/publish/broker/orders", "text", "", 204, ""},
		{"POST", "/v1.0/publish/broker/raw?metadata.rawPayload=true", "\xff", "", 204, ""},
		{"POST", "/v1.0/publish/broker/else", "x", "", 403, "ERR_PUBSUB_FORBIDDEN"},
		{"POST", "/v1.0/publish/broker/secret", "x", "", 403, "ERR_PUBSUB_FORBIDDEN"},
		{"POST", "/v1.0/publish/raw?metadata.rawPayload=perhaps", "x", "", 404, "ERR_PUBSUB_NOT_FOUND"},
		{"POST", "/v1.0/publish/broker/raw?metadata.rawPayload=perhaps", "x", "", 400, "ERR_PUBSUB_REQUEST_METADATA"},
		{"POST", "/v1.0/publish/nope/open", "x", "", 404, `"errorCode":"ERR_PUBSUB_NOT_FOUND","message":"pubsub nope is not found"`},
		{"POST", "/v1.0/publish/nope", "x", "", 404, "ERR_PUBSUB_NOT_FOUND"},
		{"POST", "/v1.0/publish/broker", "x", "", 404, `"reason":"DAPR_PUBSUB_TOPIC_NAME_EMPTY"`},
		{"POST", "/v1.0/publish/broker/open", `{"specversion":`, "application/cloudevents+json", 500, "ERR_PUBSUB_CLOUD_EVENTS_SER"},
		{"POST", "/v1.0/publish/bulk/nope/open", `[]`, "application/json", 404, "ERR_PUBSUB_NOT_FOUND"},
		{"POST", "/v1.0/publish/bulk/broker/open", `[{"entryId":"1","event":"a","contentType":"text/plain"},{"entryId":"2","event":{"b":1},"contentType":"application/json"}]`, "application/json", 204, ""},
		{"POST", "/v1.0-alpha1/publish/bulk/broker/open", `[]`, "application/json", 204, ""},
		{"POST", "/v1.0/publish/bulk/broker/open", `[{"entryId":"1","event":"a","contentType":"text/plain"},{"entryId":"1","event":"b","contentType":"text/plain"}]`, "application/json", 400, "ERR_PUBSUB_EVENTS_SER"},
		{"POST", "/v1.0/publish/bulk/broker/open?metadata.ttlInSeconds=never", `[{"entryId":"1","event":"a","contentType":"text/plain"}]`, "application/json", 500, `{"failedEntries":[{"entryId":"1","error":"`},
		{"GET", "/v1.0/publish/broker/open", "", "", 404, "ERR_DIRECT_INVOKE"},
	} {
		got := do(t, tc.verb, s.url(tc.path), tc.body, "Content-Type", tc.contentType)
		if got.StatusCode != tc.status || !strings.Contains(got.text, tc.want) {
			t.Errorf("%s %s gives %d %s, want %d with %s", tc.verb, tc.path, got.StatusCode, got.text, tc.status, tc.want)
		}
	}
	none := start(t, http.NotFoundHandler(), nil)
	if got := do(t, "POST", none.url("/v1.0/publish/any/topic"), "x"); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "ERR_PUBSUB_NOT_CONFIGURED") {
		t.Errorf("without any broker: %d %s", got.StatusCode, got.text)
	}
}

// TestPublishedTraces: a message has the trace context of its request, or begins
// a trace.
func TestPublishedTraces(t *testing.T) {
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s := New(Options{})
	traced := func(header string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
		r.Header.Set("Traceparent", header)
		var p api.Publish
		s.trace(r, &p)
		return p.TraceParent
	}
	if got := traced(given); got != given {
		t.Errorf("the trace is %s, want %s", got, given)
	}
	for _, header := range []string{"", "nonsense"} {
		one, two := traced(header), traced(header)
		if !stream.ValidTraceParent(one) || one == two {
			t.Errorf("with %q traces begin as %s and %s", header, one, two)
		}
	}
}
