package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/component/servertest"
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

// watcher plays the app's deliveries.
type watcher struct{ asked []string }

func (w *watcher) Watch(store string, keys []string, metadata map[string]string) string {
	w.asked = append(w.asked, fmt.Sprint(store, keys, metadata))
	return "17"
}

func (*watcher) Unwatch(store, id string) bool { return store == "settings" && id == "17" }

// TestConfigurationSubscriptions: an app with a server may ask to be told of
// changes; both versions of the API have the routes.
func TestConfigurationSubscriptions(t *testing.T) {
	redis := servertest.Redis(t)
	app := apitest.Start(t, "kind: Component\nmetadata: { name: settings }\nspec: { type: configuration.redis, metadata: [ { name: redisHost, value: \""+redis.Addr+"\" } ] }")
	w := &watcher{}
	s := start(t, http.NotFoundHandler(), func(_ *Options, o *api.Options) { o.Components, o.Watcher = app, w })
	deaf := start(t, http.NotFoundHandler(), func(_ *Options, o *api.Options) { o.Components = app })
	for _, tc := range []struct {
		at     sidecar
		path   string
		status int
		want   string
	}{
		{s, "/v1.0/configuration/settings/subscribe?key=a&key=b&metadata.x=y", 200, `{"id":"17"}`},
		{s, "/v1.0-alpha1/configuration/settings/subscribe", 200, `{"id":"17"}`},
		{s, "/v1.0/configuration/settings/17/unsubscribe", 200, `{"ok":true}`},
		{s, "/v1.0-alpha1/configuration/settings/17/unsubscribe", 200, `{"ok":true}`},
		{s, "/v1.0/configuration/settings/18/unsubscribe", 500, `{"message":"failed to unsubscribe to configuration request 18: there is no such subscription"}`},
		{s, "/v1.0/configuration/nope/subscribe", 400, "ERR_CONFIGURATION_STORE_NOT_FOUND"},
		{s, "/v1.0/configuration/nope/17/unsubscribe", 400, "ERR_CONFIGURATION_STORE_NOT_FOUND"},
		{s, "/v1.0/configuration/settings?key=none", 204, ""},
		{deaf, "/v1.0/configuration/settings/subscribe", 500, "ERR_APP_CHANNEL_NIL"},
	} {
		if got := do(t, "GET", tc.at.url(tc.path), ""); got.StatusCode != tc.status || !strings.Contains(got.text, tc.want) {
			t.Errorf("%s gives %d %s, want %d with %s", tc.path, got.StatusCode, got.text, tc.status, tc.want)
		}
	}
	if want := []string{"settings[a b] map[x:y]", "settings[] map[]"}; !slices.Equal(w.asked, want) {
		t.Errorf("asked for %q, want %q", w.asked, want)
	}
}
