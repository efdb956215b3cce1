package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/resource"
)

// TestErrorsAreDaprs: status and JSON of errors are, to the letter, what clients
// of Dapr get and look into.
func TestErrorsAreDaprs(t *testing.T) {
	app := apitest.Start(t)
	all := start(t, http.NotFoundHandler(), func(_ *Options, o *api.Options) {
		o.Components = app
		o.SecretScopes = func() []resource.SecretScope {
			return []resource.SecretScope{{Store: "secrets", DefaultAccess: "deny", Allowed: []string{"db"}}}
		}
	})
	none := start(t, http.NotFoundHandler(), nil)
	const google = `{"@type":"type.googleapis.com/google.rpc.`
	info := func(reason, metadata string) string {
		return google + `ErrorInfo","domain":"dapr.io","metadata":` + metadata + `,"reason":"` + reason + `"}`
	}
	about := func(kind, name, description string) string {
		return google + `ResourceInfo","description":"` + description + `","owner":"","resource_name":"` + name + `","resource_type":"` + kind + `"},`
	}
	const words = `input key/keyPrefix 'a||b' can't contain '||'`
	illegal := `{"errorCode":"ERR_MALFORMED_REQUEST","message":"` + words + `","details":[` +
		google + `BadRequest","field_violations":[{"field":"a||b","description":"` + words + `"}]},` +
		about("state", "memory", "") + info("DAPR_STATE_ILLEGAL_KEY", "null") + `]}`
	events := func(why, reason string) string {
		return `{"errorCode":"ERR_PUBSUB_EVENTS_SER","message":"` + why + `","details":[` + about("pubsub", "broker", why) +
			info(reason, `{"appID":"me","error":"`+why[strings.Index(why, ": ")+2:]+`"}`) + `]}`
	}
	const me = `{"appID":"me"}`
	for _, tc := range []struct {
		at         sidecar
		verb, path string
		body       string
		status     int
		want       string
	}{
		{all, "GET", "/v1.0/state/nope/a", "", 400, `{"errorCode":"ERR_STATE_STORE_NOT_FOUND","message":"state store nope is not found","details":[` + info("DAPR_STATE_NOT_FOUND", me) + `]}`},
		{none, "GET", "/v1.0/state/any/a", "", 500, `{"errorCode":"ERR_STATE_STORE_NOT_CONFIGURED","message":"state store any is not configured","details":[` + info("DAPR_STATE_NOT_CONFIGURED", me) + `]}`},
		{all, "GET", "/v1.0/state/memory/a%7C%7Cb", "", 400, illegal},
		{all, "POST", "/v1.0/state/memory", `[{"key":"a||b","value":1}]`, 400, illegal},
		{all, "POST", "/v1.0/state/memory/transaction", `{"operations":[{"operation":"upsert","request":{"key":"a||b","value":1}}]}`, 400, illegal},
		{all, "DELETE", "/v1.0/state/memory/a%7C%7Cb", "", 400, illegal},
		{all, "POST", "/v1.0-alpha1/state/memory/query", `{}`, 500, `{"errorCode":"ERR_STATE_STORE_NOT_SUPPORTED","message":"state store does not support querying","details":[` + about("state", "memory", "") + info("DAPR_STATE_QUERYING_NOT_SUPPORTED", "null") + `]}`},
		{none, "POST", "/v1.0/publish/any/t", "x", 400, `{"errorCode":"ERR_PUBSUB_NOT_CONFIGURED","message":"pubsub any is not configured","details":[` + info("DAPR_PUBSUB_NOT_CONFIGURED", "null") + `]}`},
		{all, "POST", "/v1.0/publish/broker/secret", "x", 403, `{"errorCode":"ERR_PUBSUB_FORBIDDEN","message":"topic secret is not allowed for app id me","details":[` + about("pubsub", "broker", "topic secret is not allowed for app id me") + info("DAPR_PUBSUB_FORBIDDEN", `{"error":"topic secret is not allowed for app id me","topic":"secret"}`) + `]}`},
		{all, "POST", "/v1.0/publish/broker", "x", 404, `{"errorCode":"ERR_TOPIC_NAME_EMPTY","message":"topic is empty in pubsub broker","details":[` + about("pubsub", "broker", "topic is empty in pubsub broker") + info("DAPR_PUBSUB_TOPIC_NAME_EMPTY", "null") + `]}`},
		{all, "POST", "/v1.0/publish/bulk/broker/open", `{"a":1}`, 400, events("error when unmarshaling the request for topic open pubsub broker: it is a JSON object at byte 1, but should be a list", "DAPR_PUBSUB_UNMARSHAL_EVENTS")},
		{all, "POST", "/v1.0/publish/bulk/broker/open", `[{"event":"a"}]`, 400, events("error marshaling events to bytes for topic open pubsub broker. error: entryId is duplicated or not present for entry", "DAPR_PUBSUB_MARSHAL_EVENTS")},
		{all, "POST", "/v1.0/publish/bulk/broker/open", `[{"entryId":"1","event":1,"contentType":"text/plain"}]`, 400, events("error when marshalling cloud event envelope for topic open pubsub broker: the event 1 does not fit its contentType text/plain: it is a JSON number at byte 1, but should be a string", "DAPR_PUBSUB_MARSHAL_ENVELOPE")},
		{all, "POST", "/v1.0/publish/bulk/nope/open", `{"a":1}`, 404, `{"errorCode":"ERR_PUBSUB_NOT_FOUND","message":"pubsub nope is not found","details":[` + info("DAPR_PUBSUB_NOT_FOUND", "null") + `]}`},
		{none, "GET", "/v1.0/secrets/any/a", "", 500, `{"errorCode":"ERR_SECRET_STORES_NOT_CONFIGURED","message":"secret store is not configured"}`},
		{none, "GET", "/v1.0/secrets/any/bulk", "", 500, `{"errorCode":"ERR_SECRET_STORES_NOT_CONFIGURED","message":"secret store is not configured"}`},
		{all, "GET", "/v1.0/secrets/nope/a", "", 401, `{"errorCode":"ERR_SECRET_STORE_NOT_FOUND","message":"failed finding secret store with key nope"}`},
		{all, "GET", "/v1.0/secrets/nope/bulk", "", 401, `{"errorCode":"ERR_SECRET_STORE_NOT_FOUND","message":"failed finding secret store with key nope"}`},
		{all, "GET", "/v1.0/secrets/secrets/other", "", 403, `{"errorCode":"ERR_PERMISSION_DENIED","message":"access denied by policy to get \"other\" from \"secrets\""}`},
		{all, "GET", "/v1.0/secrets/secrets/bulk", "", 200, `{"db":{"db":"pw"}}`},
		{none, "GET", "/v1.0/configuration/any?key=a", "", 500, `{"errorCode":"ERR_CONFIGURATION_STORE_NOT_CONFIGURED","message":"configuration stores not configured"}`},
		{none, "POST", "/v1.0-alpha1/lock/any", `{"resourceId":"r","lockOwner":"o","expiryInSeconds":1}`, 500, `{"errorCode":"ERR_LOCK_STORE_NOT_CONFIGURED","message":"lock store is not configured"}`},
		{all, "POST", "/v1.0-alpha1/lock/any", `{"resourceId":"r","lockOwner":"o"}`, 400, `{"errorCode":"ERR_MALFORMED_REQUEST","message":"ExpiryInSeconds is not positive in lock store any"}`},
		{all, "POST", "/v1.0/bindings/nope", `{"operation":"get"}`, 500, `{"errorCode":"ERR_INVOKE_OUTPUT_BINDING","message":"error invoking output binding nope: couldn't find output binding nope"}`},
		{all, "GET", "/v1.0/nothing", "", 404, `{"errorCode":"ERR_DIRECT_INVOKE","message":"failed getting app id either from the URL path or the header dapr-app-id"}`},
	} {
		got := do(t, tc.verb, tc.at.url(tc.path), tc.body)
		if got.StatusCode != tc.status || got.text != tc.want || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s gives %d of type %s\n%s\nwant %d\n%s", tc.verb, tc.path, got.StatusCode, got.Header.Get("Content-Type"), got.text, tc.status, tc.want)
		}
	}
}
