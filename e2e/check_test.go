package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/state"
)

func TestLiveCheckRestarts(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.web]
command = "rm -f dead; APP server SELF"
port = "auto"
live = { exec = "test ! -e dead || { echo it is dead; sleep 0.01; exit 1; }", interval = "20ms", threshold = 2 }
[apps.client]
command = "APP wait SELF"
`)
	r := p.up()
	r.ready("web", "client")
	pid := r.instance("web").PID
	p.write("dead", "")
	r.await("a new process", func() bool { i := r.instance("web"); return i.Phase == state.Ready && i.PID != pid })
	if alive(pid) {
		t.Error("the old process lives")
	}
	if i := r.instance("web"); i.Restarts != 1 {
		t.Errorf("%d restarts, want 1", i.Restarts)
	}
	out := r.out
	r.await("the reason", func() bool {
		return strings.Contains(out.String(), "fails its live check") && strings.Contains(out.String(), "it is dead")
	})
}

// TestHealthCheckHoldsCalls makes an app unwell: calls wait until it is well.
func TestHealthCheckHoldsCalls(t *testing.T) {
	t.Parallel()
	file := `
[apps.web]
command = "APP server SELF"
port = "auto"
health = { path = "/healthz", interval = "20ms", threshold = 2 }
[apps.client]
command = "APP wait SELF"
`
	p := newProject(t, file)
	r := p.up()
	r.ready("web", "client")
	pid := r.instance("web").PID
	if _, meta, err := r.get("web", "v1.0/metadata"); err != nil || !strings.Contains(meta, `"healthCheckPath":"/healthz"`) || !strings.Contains(meta, `"healthThreshold":2`) {
		t.Errorf("the sidecar says of the check: %s %v", meta, err)
	}
	p.write("unwell", "")
	r.await("the notice", func() bool { return strings.Contains(r.notice("health"), "503") })
	answer := make(chan string, 1)
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/who", r.instance("client").HTTPPort)
	go func() { // joined by the channel
		code, body, err := get(t.Context(), url)
		answer <- fmt.Sprintf("%d %v %s", code, err, body)
	}()
	r.await("the call to be held", func() bool { return r.instance("web").Waiting == 1 })
	if err := os.Remove(filepath.Join(p.dir, "unwell")); err != nil {
		t.Fatal(err)
	}
	if a := <-answer; !strings.HasPrefix(a, "200 <nil>") {
		t.Errorf("the held call gives %s", a)
	}
	r.await("the notice to go", func() bool { return r.notice("health") == "" })
	if now := r.instance("web"); now.PID != pid || now.Phase != state.Ready {
		t.Errorf("an app that was unwell is %+v", now)
	}
	p.write("mesh.toml", strings.Replace(file, "threshold = 2", "threshold = 7", 1))
	r.await("the edited check in the metadata", func() bool {
		_, meta, err := r.get("web", "v1.0/metadata")
		return err == nil && strings.Contains(meta, `"healthThreshold":7`)
	})
	if now := r.instance("web"); now.PID != pid {
		t.Errorf("an edit of the check has restarted the app: %+v", now)
	}
}

// TestChecksAndBuildsDoNotSurvive ends a mesh while a check and a build hang.
func TestChecksAndBuildsDoNotSurvive(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.checked]
command = "APP wait SELF"
ready = { exec = "echo $$ >> pids; exec sleep 1000", timeout = "1h" }
[apps.built]
command = "APP wait SELF"
build = "echo $$ >> pids; exec sleep 1000"
`)
	r := p.up()
	r.await("both to hang", func() bool { return len(p.pids("pids")) == 2 })
	if _, errs, code := p.mesh("down"); code != 0 {
		t.Errorf("mesh down: %d %s", code, errs)
	}
	<-r.exited
	for _, pid := range p.pids("pids") {
		if alive(pid) {
			t.Errorf("process %d has survived", pid)
		}
	}
}

func TestTokensAreHandedOver(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[mesh]
api_token = "auto"
[apps.web]
command = "APP server SELF"
port = "auto"
app_token = "auto"
[apps.fixed]
command = "APP server SELF"
port = "auto"
app_token = "mine"
`)
	r := p.up()
	r.ready("web", "fixed")
	env := func(app string) map[string]string {
		t.Helper()
		out, errs, code := p.mesh("invoke", app, "env")
		if code != 0 {
			t.Fatalf("mesh invoke: %d %s", code, errs)
		}
		vars := map[string]string{}
		for line := range strings.Lines(out) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			vars[k] = v
		}
		return vars
	}
	web, fixed := env("web"), env("fixed")
	if len(web["APP_API_TOKEN"]) < 20 || fixed["APP_API_TOKEN"] != "mine" {
		t.Errorf("the tokens of the apps are %q and %q", web["APP_API_TOKEN"], fixed["APP_API_TOKEN"])
	}
	if web["DAPR_API_TOKEN"] == "" || web["DAPR_API_TOKEN"] != fixed["DAPR_API_TOKEN"] {
		t.Errorf("the tokens of the API are %q and %q", web["DAPR_API_TOKEN"], fixed["DAPR_API_TOKEN"])
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/who", r.instance("fixed").HTTPPort)
	if code, _, _ := get(t.Context(), url); code != http.StatusUnauthorized {
		t.Errorf("a call without the token gives %d", code)
	}
	// A live edit of the token holds for who comes now.
	p.write("mesh.toml", "[apps.web]\ncommand = \"APP server SELF\"\nport = \"auto\"\n[apps.fixed]\ncommand = \"APP server SELF\"\nport = \"auto\"\n")
	r.await("calls without a token", func() bool {
		url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/who", r.instance("fixed").HTTPPort)
		code, _, _ := get(t.Context(), url)
		return code == http.StatusOK
	})
}

// TestTerminalApp runs an app that asks whether it has a terminal.
func TestTerminalApp(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.term]
command = "tty; APP wait SELF"
pty = true
[apps.plain]
command = "tty; APP wait SELF"
`)
	r := p.up()
	r.ready("term", "plain")
	printed := func(app string) string {
		var text strings.Builder
		for _, l := range r.client.Lines(app, 0, 100) {
			text.WriteString(l.Text + "\n")
		}
		return text.String()
	}
	r.await("what they say of it", func() bool {
		return strings.Contains(printed("term"), "/dev/") && strings.Contains(printed("plain"), "not a tty")
	})
}

// TestTakenAppPortNamesItsHolder has the port of an app taken by this process.
func TestTakenAppPortNamesItsHolder(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	p := newProject(t, fmt.Sprintf("[apps.web]\ncommand = \"APP server SELF\"\nport = %s\n", port))
	r := p.up()
	r.await("the holder to be named", func() bool {
		return strings.Contains(r.instance("web").Reason, fmt.Sprintf("pid %d", os.Getpid()))
	})
	ln.Close()
	r.ready("web")
}

// TestDependencyThatCannotBeMet asks for the restart of an app that waits for
// one that was stopped: the command says so instead of waiting.
func TestDependencyThatCannotBeMet(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.db]
command = "APP server SELF"
port = "auto"
[apps.web]
command = "APP server SELF"
port = "auto"
depends_on = ["db"]
`)
	r := p.up()
	r.ready("web")
	if _, errs, code := p.mesh("stop", "db"); code != 0 {
		t.Fatalf("mesh stop: %d %s", code, errs)
	}
	_, errs, code := p.mesh("restart", "web")
	if code != 1 || !strings.Contains(errs, "db, which has been stopped") {
		t.Errorf("mesh restart: %d %s", code, errs)
	}
	if _, errs, code := p.mesh("start", "db"); code != 0 {
		t.Fatalf("mesh start: %d %s", code, errs)
	}
	r.ready("web")
}
