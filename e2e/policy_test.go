package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const guarded = `
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.client]
command = "APP wait SELF"
`

// TestPoliciesAndFaultsFollowTheFile switches faults and limits by saving
// mesh.toml, while the apps run on.
func TestPoliciesAndFaultsFollowTheFile(t *testing.T) {
	p := newProject(t, guarded)
	r := p.up()
	r.ready("web", "client")
	pid := r.instance("web").PID
	call := func(path string) (int, string, time.Duration) {
		began := time.Now()
		code, body, err := r.get("client", "v1.0/invoke/web/method/"+path)
		if err != nil {
			body += err.Error()
		}
		return code, body, time.Since(began)
	}

	p.write("mesh.toml", guarded+"[faults.no]\ntarget = \"web\"\nabort = 503\n")
	r.await("the fault to abort calls", func() bool { code, body, _ := call("who"); return code == 503 && strings.Contains(body, "ERR_FAULT") })

	p.write("mesh.toml", guarded+"[faults.slow]\ntarget = \"web\"\ndelay = \"400ms\"\n")
	r.await("the fault to delay calls", func() bool { code, _, d := call("who"); return code == http.StatusOK && d >= 400*time.Millisecond })

	p.write("mesh.toml", guarded+"[resiliency.targets.web]\ntimeout = { idle = \"200ms\" }\n")
	r.await("silence to be cut", func() bool {
		code, body, _ := call("hang")
		return code == http.StatusInternalServerError && strings.Contains(body, "timeout.idle")
	})
	if code, _, d := call("ticks?n=30"); code != http.StatusOK || d < 500*time.Millisecond {
		t.Errorf("a stream that is longer than the limit on silence ends with %d after %v", code, d)
	}

	p.write("mesh.toml", guarded+"[resiliency.targets.web]\nretry = { policy = \"constant\", max = 5, duration = \"10ms\" }\n")
	r.await("calls to be tried again", func() bool {
		code, _, d := call("thirdtime")
		return code == http.StatusOK && d >= 20*time.Millisecond // two pauses
	})
	if code, body, _ := call("thirdtime"); code != http.StatusOK || body != "3" {
		t.Errorf("an app that fails twice of three times gives %d %q", code, body)
	}

	p.write("mesh.toml", guarded)
	r.await("everything to be as before", func() bool { code, _, _ := call("thirdtime"); return code == http.StatusServiceUnavailable })
	if now := r.instance("web").PID; now != pid {
		t.Error("policies restarted an app")
	}
}
