package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

const policies = `
kind: Resiliency
metadata: { name: mine }
spec:
  policies:
    timeouts: { short: 200ms }
    retries: { twice: { policy: constant, duration: 10ms, maxRetries: 2 } }
    circuitBreakers: { soon: { trip: consecutiveFailures >= 2, timeout: 1h } }
  targets:
    components:
      web: { outbound: { retry: twice, timeout: short } }
      broken: { outbound: { circuitBreaker: soon } }
      broker: { inbound: { retry: twice } }
---
kind: Resiliency
metadata: { name: theirs }
scopes: [ sub ]
spec:
  policies:
    retries: { twice: { policy: constant, duration: 10ms, maxRetries: 2 } }
  targets:
    components:
      files: { outbound: { retry: twice } }
---
`

// TestComponentPolicies: what Resiliency resources say of components holds for
// what apps ask of them and for what they deliver, and all of it is counted.
func TestComponentPolicies(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		n := asked[r.URL.Path]
		mu.Unlock()
		switch {
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		case r.URL.Path == "/third" && n < 3, r.URL.Path == "/never":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = fmt.Fprint(w, "done")
		}
	}))
	defer web.Close()
	r := newRig(t, policies+yaml("web", "bindings.http", "url", web.URL)+yaml("broken", "bindings.http", "url", web.URL)+yaml("broker", "pubsub.in-memory"))
	for _, c := range []struct {
		binding, path, want string
		tries               int // in all of the path
	}{
		{"web", "third", "200 done", 3},
		{"web", "never", "500 ", 3},
		{"web", "slow", "took longer than 200ms", 3},
		{"broken", "never", "received status code 503", 4},
		{"broken", "never", "received status code 503", 5},
		{"broken", "never", "the circuit breaker of broken is open", 5},
		{"files", "", "couldn't find", 0},
	} {
		got := r.call(http.MethodPost, "bindings/"+c.binding, fmt.Sprintf(`{"operation":"get","metadata":{"path":%q}}`, c.path))
		if !strings.Contains(got, c.want) {
			t.Errorf("%s of %s gives %s, want %s", c.path, c.binding, got, c.want)
		}
		mu.Lock()
		if n := asked["/"+c.path]; n != c.tries {
			t.Errorf("%s of %s: the server was asked %d times in all, want %d", c.path, c.binding, n, c.tries)
		}
		mu.Unlock()
	}

	in := &inbox{}
	r.subscriber(in)
	in.awaitSubscriptions(t, r)
	for id, answers := range map[string][]string{"third": {"500", "RETRY"}, "never": slices.Repeat([]string{"500"}, 100), "dropped": slices.Repeat([]string{"DROP"}, 100)} {
		body := fmt.Sprintf(`{"id":%q,"answers":["%s"]}`, id, strings.Join(answers, `","`))
		if got := r.call(http.MethodPost, "publish/broker/doomed", body); got != "204 " {
			t.Fatal(got)
		}
	}
	for _, id := range []string{"never", "dropped"} {
		eventually(t, id+" among the dead letters", func() bool { return in.got("/dead", id) == 1 })
	}
	eventually(t, "the third try", func() bool { return in.got("/doomed", "third") == 3 })
	if in.got("/doomed", "never") != 3 || in.got("/doomed", "dropped") != 1 || in.got("/dead", "third") != 0 {
		t.Errorf("what came:\n%s", in)
	}

	for app, lines := range map[string][]string{
		"pub": {
			`dapr_component_output_binding_count{app_id="pub",component="web",namespace="default",operation="get",success="true"} 1`,
			`dapr_component_output_binding_count{app_id="pub",component="broken",namespace="default",operation="get",success="false"} 3`,
			`dapr_component_pubsub_egress_latencies_count{app_id="pub",component="broker",namespace="default",success="true",topic="doomed"}`,
		},
		"sub": {
			`dapr_component_pubsub_ingress_count{app_id="sub",component="broker",namespace="default",process_status="drop",status="drop",topic="doomed"} 1`,
			`dapr_component_pubsub_ingress_count{app_id="sub",component="broker",namespace="default",process_status="retry",status="retry",topic="doomed"} 1`,
			`dapr_component_pubsub_ingress_count{app_id="sub",component="broker",namespace="default",process_status="success",status="success",topic="dead"}`,
		},
	} {
		text := string(r.counts[app].Text())
		for _, line := range lines {
			if !strings.Contains(text, line) {
				t.Errorf("the metrics of %s lack %s", app, line)
			}
		}
	}
}
