package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPubSub: what one app publishes reaches another by every kind of
// subscription, on nothing but the embedded broker, and again after that app
// was restarted.
func TestPubSub(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.sub]
command = "APP subscriber SELF"
port = "auto"
instances = 2
[apps.pub]
command = "APP server SELF"
port = "auto"
[[subscriptions]]
pubsub = "pubsub"
topic = "declared"
route = "/toml"
scopes = ["sub"]
`)
	p.write("components/sub.yaml", `apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: { name: routed }
spec:
  pubsubname: pubsub
  topic: routed
  routes:
    rules: [ { match: event.data.n == 2, path: /two } ]
    default: /rest
`)
	r := p.up()
	r.ready("sub", "sub-2", "pub")
	r.await("the subscriptions", func() bool {
		_, a, err := r.get("sub", "v1.0/metadata")
		_, b, err2 := r.get("sub-2", "v1.0/metadata")
		return err == nil && err2 == nil && strings.Contains(a, "PROGRAMMATIC") && strings.Count(b, `"topic"`) == 3
	})
	published := map[string]string{"programmatic": "asked", "declared": "toml", "routed": "two"}
	r.publish("pub", "programmatic", `{"n":2}`)
	for _, command := range []string{"publish pubsub declared {\"n\":2}", "publish --app pub pubsub routed {\"n\":2}"} {
		if out, errs, code := p.mesh(strings.Fields(command)...); code != 0 || out != "" {
			t.Fatalf("mesh %s exits with %d and says %s%s", command, code, out, errs)
		}
	}
	for topic, path := range published {
		r.await("a message on "+topic, func() bool {
			return strings.Contains(r.out.String(), fmt.Sprintf("got %s on /%s", topic, path))
		})
	}
	if n := strings.Count(r.out.String(), "got declared"); n != 1 {
		t.Errorf("two instances got one message %d times", n)
	}

	if _, errs, code := p.mesh("restart", "sub"); code != 0 {
		t.Fatal(errs)
	}
	for i := range 10 { // while it restarts
		r.publish("pub", "declared", fmt.Sprintf(`{"n":"again %d"}`, i))
	}
	for i := range 10 {
		r.await("message after the restart", func() bool { return strings.Contains(r.out.String(), fmt.Sprintf(`"again %d"`, i)) })
	}

	p.write("components/sub.yaml", "kind: Subscription\nmetadata: { name: bad }\nspec: { pubsubname: pubsub, topic: t, routes: { rules: [ { match: \"((\", path: /x } ] } }\n")
	r.await("the mistake", func() bool { return strings.Contains(r.notice("config"), "sub.yaml:1:") })
}

// publish publishes through the sidecar of an instance.
func (r *running) publish(from, topic, event string) {
	r.t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/publish/pubsub/%s", r.instance(from).HTTPPort, topic)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, url, strings.NewReader(event))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		r.t.Fatalf("publishing to %s: %s", topic, resp.Status)
	}
}
