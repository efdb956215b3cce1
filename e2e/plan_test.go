package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mesh/supervisor/state"
)

// TestPlan: a plan says what saving a file would do and which calls it would cost,
// and does nothing of it.
func TestPlan(t *testing.T) {
	t.Parallel()
	const toml = `
[apps.orders]
command = "APP server SELF"
port = "auto"
[apps.web]
command = "APP server SELF"
port = "auto"
`
	p := newProject(t, toml)
	r := p.up()
	r.ready("orders", "web")
	before := r.instance("orders")

	body, write := io.Pipe()
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/orders/method/echo", r.instance("web").HTTPPort)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	r.await("the call under way", func() bool { return r.instance("orders").Calls == 1 })

	if out, stderr, code := p.mesh("plan"); code != 0 || !strings.Contains(out, "nothing would change") {
		t.Errorf("the plan for the same file, exit %d:\n%s%s", code, out, stderr)
	}
	p.write("next.toml", strings.Replace(toml, "[apps.web]", "env = { LEVEL = \"debug\" }\n[apps.new]\ncommand = \"APP server SELF\"\n[apps.web]\nhold = \"1s\"", 1))
	out, stderr, code := p.mesh("plan", "next.toml")
	if code != 0 {
		t.Fatalf("mesh plan exits with %d:\n%s", code, stderr)
	}
	got := strings.Join(strings.Fields(out), " ")
	if want := "app new start app orders restart 1 call under way env LEVEL changed app web hot-swap hold 15s → 1s"; got != want {
		t.Errorf("the plan is\n%s\nwant\n%s", got, want)
	}

	if now := r.instance("orders"); now.PID != before.PID || now.Phase != state.Ready {
		t.Errorf("planning has changed orders: %+v", now)
	}
	if out, _, _ := p.mesh("ps"); strings.Contains(out, "new") {
		t.Errorf("planning has started an app:\n%s", out)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("planning has cost a call: %v", err)
	}
}
