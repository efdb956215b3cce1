package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"mesh/supervisor/control/controltest"
	"mesh/supervisor/state"
)

// TestPublish: a message goes to the sidecar of an app that may publish it, with
// what was said about it.
func TestPublish(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "")
	s.file("order.json", `{"id":7}`)
	got := make(chan string, 1)
	port := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(r.URL.Path, "/secret") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errorCode":"ERR_PUBSUB_FORBIDDEN","message":"topic secret is not allowed"}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		got <- strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("dapr-api-token"), string(body)}, "|")
	})
	controltest.Serve(t, s.dir, state.Mesh{
		Name: "shop", Dir: s.dir,
		Apps: []state.App{
			{ID: "another", Instances: []state.Instance{{Name: "another", HTTPPort: 1}}},
			{ID: "orders", Instances: []state.Instance{{Name: "orders", HTTPPort: port}}},
		},
		Components: []state.Component{
			{Name: "broker", Type: "pubsub.redis", Scopes: []string{"orders"}},
			{Name: "open", Type: "pubsub.redis"},
			{Name: "lonely", Type: "pubsub.redis", Scopes: []string{"worker"}},
			{Name: "store", Type: "state.redis"},
		},
	})
	const to = "POST|/v1.0/publish/"
	for _, c := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{args: []string{"broker", "orders", "hello you"}, want: to + "broker/orders|text/plain|the-token|hello you"},
		{args: []string{"broker", "orders", `{"id":7}`}, want: to + `broker/orders|application/json|the-token|{"id":7}`},
		{args: []string{"broker", "orders", "@order.json"}, want: to + `broker/orders|application/json|the-token|{"id":7}`},
		{args: []string{"broker", "orders"}, stdin: "piped", want: to + "broker/orders|text/plain|the-token|piped"},
		{args: []string{"broker", "orders", "-"}, stdin: `"x"`, want: to + `broker/orders|application/json|the-token|"x"`},
		{
			args: []string{"broker", "orders", `{"specversion":"1.0","type":"t","source":"s","id":"1"}`},
			want: to + `broker/orders|application/cloudevents+json|the-token|{"specversion":"1.0","type":"t","source":"s","id":"1"}`,
		},
		{
			args: []string{"open", "a/b c", "x", "--app", "orders", "--content-type", "image/png", "--metadata", "ttlInSeconds=60", "--metadata", "key=a=b"},
			want: to + "open/a%2Fb%20c?metadata.key=a%3Db&metadata.ttlInSeconds=60|image/png|the-token|x",
		},
	} {
		s.stdin = c.stdin
		s.says(0, append([]string{"publish"}, c.args...))
		select {
		case msg := <-got:
			if msg != c.want {
				t.Errorf("publish %q sends %s, want %s", c.args, msg, c.want)
			}
		default:
			t.Errorf("publish %q sends nothing", c.args)
		}
	}
	s.says(1, words("publish broker secret x"), "publishing to broker: topic secret is not allowed")
	s.says(1, words("publish brokr orders x"), `no pub/sub component "brokr"`, "did you mean broker?")
	s.says(1, words("publish lonely orders x"), "may use lonely has a sidecar now: worker")
	s.says(1, words("publish open orders x --app ordres"), "did you mean orders?")
	s.says(2, words("publish broker orders x --metadata ttl"), `"ttl" is no metadata`, "NAME=VALUE")
	s.says(2, words("publish broker"), "needs the name of a pub/sub component and a topic")
	s.says(2, words("publish broker orders x y"), "one word too many")
}
