package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/resource"
)

// TestBindingsSecretsAndTheRest plays requests in order.
func TestBindingsSecretsAndTheRest(t *testing.T) {
	app := apitest.Start(t)
	s := start(t, http.NotFoundHandler(), func(_ *Options, o *api.Options) {
		o.Components = app
		o.SecretScopes = func() []resource.SecretScope {
			return []resource.SecretScope{{Store: "secrets", DefaultAccess: "allow", Denied: []string{"other"}}}
		}
	})
	for _, tc := range []struct {
		verb, path, body string
		status           int
		want             string
	}{
		{"POST", "/v1.0/bindings/files", `{"operation":"create","data":"plain text","metadata":{"fileName":"a"}}`, 200, "fileName"},
		{"PUT", "/v1.0/bindings/files", `{"operation":"get","metadata":{"fileName":"a"}}`, 200, "plain text"},
		{"POST", "/v1.0/bindings/files", `{"operation":"create","data":{"n":1},"metadata":{"fileName":"b"}}`, 200, "fileName"},
		{"POST", "/v1.0/bindings/files", `{"operation":"get","metadata":{"fileName":"b"}}`, 200, `{"n":1}`},
		{"POST", "/v1.0/bindings/files", `{"operation":"get","metadata":{"fileName":"none"}}`, 500, "ERR_INVOKE_OUTPUT_BINDING"},
		{"POST", "/v1.0/bindings/nope", `{"operation":"get"}`, 500, "ERR_INVOKE_OUTPUT_BINDING"},
		{"GET", "/v1.0/secrets/secrets/db", "", 200, `{"db":"pw"}`},
		{"GET", "/v1.0/secrets/secrets/other", "", 403, "ERR_PERMISSION_DENIED"},
		{"GET", "/v1.0/secrets/secrets/bulk", "", 200, `{"db":{"db":"pw"}}`},
		{"GET", "/v1.0/secrets/secrets/none", "", 500, "ERR_SECRET_GET"},
		{"GET", "/v1.0/secrets/nope/db", "", 401, "ERR_SECRET_STORE_NOT_FOUND"},
		{"GET", "/v1.0/configuration/nope?key=a", "", 500, "ERR_CONFIGURATION_STORE_NOT_CONFIGURED"},
		{"POST", "/v1.0-alpha1/lock/nope", `{"resourceId":"r","lockOwner":"o","expiryInSeconds":5}`, 500, "ERR_LOCK_STORE_NOT_CONFIGURED"},
		{"POST", "/v1.0-alpha1/lock/nope", `{"resourceId":"r","expiryInSeconds":5}`, 400, "ERR_MALFORMED_REQUEST"},
		{"POST", "/v1.0-alpha1/unlock/nope", `{"resourceId":"r","lockOwner":"o"}`, 500, "ERR_LOCK_STORE_NOT_CONFIGURED"},
	} {
		got := do(t, tc.verb, s.url(tc.path), tc.body)
		if got.StatusCode != tc.status || !strings.Contains(got.text, tc.want) {
			t.Errorf("%s %s %s gives %d %s, want %d with %s", tc.verb, tc.path, tc.body, got.StatusCode, got.text, tc.status, tc.want)
		}
	}
}
