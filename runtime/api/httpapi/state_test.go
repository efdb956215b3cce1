package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
)

// blocks serves the API with live components.
func blocks(t *testing.T) sidecar {
	t.Helper()
	app := apitest.Start(t)
	return start(t, http.NotFoundHandler(), func(_ *Options, o *api.Options) { o.Components = app })
}

// TestState plays requests in order, as clients of Dapr send them.
func TestState(t *testing.T) {
	s := blocks(t)
	for _, store := range []string{"memory", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			base := s.url("/v1.0/state/" + store)
			for _, step := range []struct {
				verb, path, body string
				status           int
				want             string // in the body
			}{
				{"GET", "/a", "", 204, ""},
				{"POST", "", `[{"key":"a","value":{"n":1,"big":12345678901234567890}},{"key":"b","value":"text"},{"key":"c/d","value":[1]}]`, 204, ""},
				{"GET", "/a", "", 200, `"big":12345678901234567890`},
				{"GET", "/b", "", 200, `"text"`},
				{"GET", "/c%2Fd", "", 200, `[1]`},
				{"POST", "/bulk", `{"keys":["a","none"],"parallelism":2}`, 200, `"data":{"n":1`},
				{"PUT", "/transaction", `{"operations":[{"operation":"upsert","request":{"key":"t","value":7}},{"operation":"delete","request":{"key":"b"}}]}`, 204, ""},
				{"GET", "/b", "", 204, ""},
				{"GET", "/t", "", 200, "7"},
				{"POST", "/transaction", `{"operations":[{"operation":"increment","request":{"key":"t"}}]}`, 400, "ERR_NOT_SUPPORTED_STATE_OPERATION"},
				{"DELETE", "/a", "", 204, ""},
				{"GET", "/a", "", 204, ""},
				{"POST", "", `[{"key":"a||b","value":1}]`, 400, "ERR_MALFORMED_REQUEST"},
				{"POST", "", `{"key":"a"}`, 400, "ERR_MALFORMED_REQUEST"},
				{"POST", "?metadata.ttlInSeconds=100", `[{"key":"ttl","value":1}]`, 204, ""},
				{"PATCH", "", ``, 404, "ERR_DIRECT_INVOKE"}, // no operation of a store
			} {
				got := do(t, step.verb, base+step.path, step.body)
				if got.StatusCode != step.status || !strings.Contains(got.text, step.want) {
					t.Errorf("%s %s gives %d %s, want %d with %s", step.verb, step.path, got.StatusCode, got.text, step.status, step.want)
				}
				if (got.StatusCode == http.StatusNoContent) != (got.text == "") {
					t.Errorf("%s %s gives %d with the body %q", step.verb, step.path, got.StatusCode, got.text)
				}
			}
			if got := do(t, "GET", base+"/ttl", ""); got.Header.Get("metadata.ttlexpiretime") == "" {
				t.Errorf("the time at which a key ends is not told: %v", got.Header)
			}
		})
	}
}

// TestStateETag: a change that knows an old version of the key is refused.
func TestStateETag(t *testing.T) {
	s := blocks(t)
	base := s.url("/v1.0/state/sqlite")
	do(t, "POST", base, `[{"key":"e","value":1}]`)
	old := do(t, "GET", base+"/e", "").Header.Get("ETag")
	if old == "" {
		t.Fatal("a key has no ETag")
	}
	if got := do(t, "POST", base, `[{"key":"e","value":2,"etag":"`+old+`","options":{"concurrency":"first-write"}}]`); got.StatusCode != http.StatusNoContent {
		t.Fatalf("with the right ETag: %d %s", got.StatusCode, got.text)
	}
	if got := do(t, "POST", base, `[{"key":"e","value":3,"etag":"`+old+`"}]`); got.StatusCode != http.StatusConflict || !strings.Contains(got.text, "ERR_STATE_SAVE") {
		t.Errorf("with an old ETag: %d %s", got.StatusCode, got.text)
	}
	if got := do(t, "DELETE", base+"/e", "", "If-Match", old); got.StatusCode != http.StatusConflict {
		t.Errorf("deleting with an old ETag: %d %s", got.StatusCode, got.text)
	}
	if got := do(t, "GET", base+"/e", ""); got.text != "2" {
		t.Errorf("the value is %s", got.text)
	}
}

// TestStateErrors: what is not there is said with Dapr's codes.
func TestStateErrors(t *testing.T) {
	s := blocks(t)
	if got := do(t, "GET", s.url("/v1.0/state/nope/a"), ""); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "ERR_STATE_STORE_NOT_FOUND") {
		t.Errorf("an unknown store: %d %s", got.StatusCode, got.text)
	}
	if got := do(t, "GET", s.url("/v1.0/state/theirs/a"), ""); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a store in whose scopes the app is not: %d %s", got.StatusCode, got.text)
	}
	if got := do(t, "POST", s.url("/v1.0-alpha1/state/memory/query"), `{}`); got.StatusCode != http.StatusInternalServerError || !strings.Contains(got.text, "ERR_STATE_STORE_NOT_SUPPORTED") {
		t.Errorf("a query that the store cannot answer: %d %s", got.StatusCode, got.text)
	}
	none := start(t, http.NotFoundHandler(), nil)
	if got := do(t, "GET", none.url("/v1.0/state/any/a"), ""); got.StatusCode != http.StatusInternalServerError || !strings.Contains(got.text, "ERR_STATE_STORE_NOT_CONFIGURED") {
		t.Errorf("without any store: %d %s", got.StatusCode, got.text)
	}
}

// TestStateIsSeen: a call to a component is a flow with the component as callee.
func TestStateIsSeen(t *testing.T) {
	app := apitest.Start(t)
	var flows *api.Options
	s := start(t, http.NotFoundHandler(), func(o *Options, a *api.Options) { a.Components, a.Flows, flows = app, o.Recorder, a })
	defer flows.Flows.Watch()()
	do(t, "POST", s.url("/v1.0/state/memory"), `[{"key":"a","value":1}]`)
	do(t, "GET", s.url("/v1.0/state/nope/a"), "")
	recent := flows.Flows.Recent(nil, 2)
	if len(recent) != 2 {
		t.Fatalf("%d flows are recorded, want 2", len(recent))
	}
	if h := recent[1].Head(); h.Kind != "state" || h.Callee != "memory" || h.Caller != "me" || h.Verb != "save" || h.Path != "/a" {
		t.Errorf("the flow of a save is %+v", h)
	}
	if h := recent[0].Head(); h.Callee != "nope" {
		t.Errorf("the flow of a failure is %+v", h)
	}
}
