package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alone is a sidecar by itself.
type alone struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output
	over chan struct{}
}

// sidecar starts the binary, under that name, with flags, in a folder of its own.
func sidecar(t *testing.T, binary string, env []string, args ...string) *alone {
	t.Helper()
	return sidecarIn(t, t.TempDir(), binary, env, args...)
}

// sidecarIn starts it in a folder: one that is started again where it was before
// listens for others at the port that they have in mind.
func sidecarIn(t *testing.T, dir, binary string, env []string, args ...string) *alone {
	t.Helper()
	a := &alone{t: t, cmd: exec.Command(binary, args...), out: &output{}, over: make(chan struct{})}
	a.cmd.Dir, a.cmd.Env = dir, env // the environment may be almost empty
	a.cmd.Stdout, a.cmd.Stderr, a.cmd.WaitDelay = a.out, a.out, time.Second
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // joined by the cleanup
		_ = a.cmd.Wait()
		close(a.over)
	}()
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		<-a.over
		if t.Failed() {
			t.Logf("the sidecar printed:\n%s", a.out)
		}
	})
	return a
}

// port gives the port of that name as the log tells it.
func (a *alone) port(name string) int {
	a.t.Helper()
	var port int
	await(a.t, "the "+name+" port of a sidecar", func() bool {
		m := regexp.MustCompile(`msg="the sidecar listens".* ` + name + `=(\d+)`).FindStringSubmatch(a.out.String())
		if m == nil {
			return false
		}
		port, _ = strconv.Atoi(m[1])
		return true
	})
	return port
}

func (a *alone) get(path string) (int, string) {
	a.t.Helper()
	code, body, err := get(a.t.Context(), fmt.Sprintf("http://127.0.0.1:%d/%s", a.port("http"), path))
	if err != nil {
		return 0, err.Error()
	}
	return code, body
}

// end waits for the end and gives the exit code.
func (a *alone) end() int {
	a.t.Helper()
	select {
	case <-a.over:
	case <-time.After(patience):
		a.t.Fatal("the sidecar does not end")
	}
	return a.cmd.ProcessState.ExitCode()
}

// app serves a handler and gives its port.
func app(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestSidecarsNeedNothingButTheirAppIDs(t *testing.T) {
	id := fmt.Sprintf("alone-%d", os.Getpid())
	echo := app(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	callee := sidecar(t, meshBinary, nil, "sidecar", "--app-id", id, "-app-port="+echo)
	caller := sidecar(t, meshBinary, nil, "sidecar", "--app-id", id+"-caller")
	await(t, "the app to be called", func() bool {
		code, body := caller.get("v1.0/invoke/" + id + "/method/hello")
		return code == http.StatusOK && body == "/hello"
	})
	if code, body, err := get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/metrics", callee.port("metrics"))); code != http.StatusOK || err != nil ||
		!strings.Contains(body, `dapr_http_client_completed_count{app_id="`+id+`",method="GET",path="",status="200"} 1`) {
		t.Errorf("the metrics of the callee: %d %v\n%s", code, err, body)
	}
	p := newProject(t, "")
	if out, errs, code := p.mesh("doctor", id); code != 0 || !strings.Contains(out, fmt.Sprintf("%s is at 127.0.0.1:%d", id, callee.port("internal"))) {
		t.Errorf("mesh doctor %s: exit %d\n%s%s", id, code, out, errs)
	}
	if out, _, code := p.mesh("doctor", id+"-ghost"); code != 1 || !strings.Contains(out, "announces "+id+"-ghost") || !strings.Contains(out, "only this host is asked") {
		t.Errorf("mesh doctor does not say why an app cannot be found: exit %d\n%s", code, out)
	}
	if code, _ := callee.get("v1.0/healthz?appid=" + id); code != http.StatusNoContent {
		t.Errorf("the callee is not healthy: %d", code)
	}
}

// A sidecar is there before its app, and says so.
func TestSidecarWaitsForItsApp(t *testing.T) {
	p := freePort(t)
	s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "waits", "--app-port", strconv.Itoa(p))
	await(t, "outbound health", func() bool { code, _ := s.get("v1.0/healthz/outbound"); return code == http.StatusNoContent })
	if code, body := s.get("v1.0/healthz"); code != http.StatusInternalServerError || !strings.Contains(body, "ERR_HEALTH_NOT_READY") {
		t.Errorf("before its app listens the sidecar says %d %s", code, body)
	}
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	await(t, "health", func() bool { code, _ := s.get("v1.0/healthz"); return code == http.StatusNoContent })
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	return addr.Port
}

func TestSidecarEnds(t *testing.T) {
	for name, c := range map[string]struct {
		force string
		sig   syscall.Signal
		want  int
	}{
		"SIGTERM":  {sig: syscall.SIGTERM},
		"SIGINT":   {sig: syscall.SIGINT},
		"shutdown": {force: "false"},
		"forced":   {force: "true", want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "ends")
			await(t, "health", func() bool { code, _ := s.get("v1.0/healthz"); return code == http.StatusNoContent })
			if c.sig != 0 {
				if err := s.cmd.Process.Signal(c.sig); err != nil {
					t.Fatal(err)
				}
			} else {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1.0/shutdown", s.port("http")), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("dapr-force-shutdown", c.force)
				if resp, err := http.DefaultClient.Do(req); err == nil { // a forced end may come first
					resp.Body.Close()
				}
			}
			if code := s.end(); code != c.want {
				t.Errorf("exit code %d, want %d", code, c.want)
			}
		})
	}
}

// A link named daprd takes daprd's command line, tokens and resources; files are
// read anew when they change, and when a hangup comes.
func TestSidecarAsDaprd(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "daprd")
	if err := os.Symlink(meshBinary, link); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "res"), 0o755); err != nil {
		t.Fatal(err)
	}
	store := func(name string) string {
		return "kind: Component\nmetadata: {name: '" + name + "'}\nspec: {type: state.in-memory, version: v1}\n---\n" +
			"kind: Configuration\nmetadata: {name: other}\nspec: {}\n"
	}
	write("res/store.yaml", store("123"))
	write("config.yaml", "kind: Configuration\nmetadata: {name: c}\nspec: {nameResolution: {component: nameformat, configuration: {format: '127.0.0.{appid}:${DAPR_PORT}'}}}\n")
	token := make(chan string, 100)
	port := app(t, func(w http.ResponseWriter, r *http.Request) {
		token <- r.Header.Get("dapr-api-token")
		fmt.Fprint(w, r.Header.Get("dapr-caller-app-id"))
	})
	ports := map[string]int{"http": freePort(t), "grpc": freePort(t), "internal-grpc": freePort(t)}
	args := []string{
		"--log-level", "debug", "--log-as-json=false", "-app-id", "real", "--app-port=" + port, "--mode=standalone", "--enable-mtls=false",
		"--placement-host-address", "localhost:50005", "--enable-profiling=false", "--metrics-port", strconv.Itoa(freePort(t)), "--dapr-listen-addresses=127.0.0.1",
		"--dapr-internal-grpc-listen-address=127.0.0.1", "--config", filepath.Join(dir, "config.yaml"), "--resources-path", filepath.Join(dir, "res"), "--max-body-size=512Mi", "--enable-api-logging",
	}
	for name, p := range ports {
		args = append(args, fmt.Sprintf("--dapr-%s-port=%d", name, p))
	}
	s := sidecar(t, link, []string{"DAPR_API_TOKEN=in", "APP_API_TOKEN=out"}, args...)
	await(t, "health", func() bool { code, _ := s.get("v1.0/healthz"); return code == http.StatusNoContent })
	if !strings.Contains(s.out.String(), "note: --placement-host-address has no effect here") {
		t.Errorf("nothing tells what has no effect:\n%s", s.out)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", ports["http"])
	ask := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("dapr-api-token", "in")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, _ := s.get("v1.0/metadata"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	// The pattern of names leads the app id "1" back to this sidecar, whose port
	// has been put into the configuration.
	await(t, "an app found by nameformat", func() bool {
		code, body := ask("/v1.0/invoke/1/method/x")
		return code == http.StatusOK && body == "real"
	})
	await(t, "the app's token", func() bool { return <-token == "out" })
	if code, body := ask("/v1.0/metadata"); code != http.StatusOK || !strings.Contains(body, `"name":"123"`) || !strings.Contains(body, `"nameResolution":"nameformat"`) {
		t.Errorf("metadata: %d %s", code, body)
	}
	write("res/store.yaml", store("456"))
	await(t, "the edited component", func() bool { _, body := ask("/v1.0/metadata"); return strings.Contains(body, `"name":"456"`) })
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the hangup to be noted", func() bool { return strings.Count(s.out.String(), "read anew") >= 2 })
	if code, _ := ask("/v1.0/healthz"); code != http.StatusNoContent {
		t.Errorf("after a hangup the sidecar is not healthy: %d", code)
	}
	out, err := exec.Command(link, "--wait", "--dapr-http-port", strconv.Itoa(ports["http"])).CombinedOutput()
	if err != nil {
		t.Errorf("--wait: %v %s", err, out)
	}
}

func TestSidecarRefusesWhatItCannotDo(t *testing.T) {
	dir := t.TempDir()
	component := "kind: Component\nmetadata: {name: twice}\nspec: {type: state.in-memory, version: v1}\n"
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(component+"---\n"+component), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"needs --app-id":              {},
		"plain text":                  {"--app-id", "a", "--enable-mtls"},
		"only standalone is possible": {"--app-id", "a", "--mode", "kubernetes"},
		"twice":                       {"--app-id", "a", "--resources-path", dir},
		"has a dot":                   {"--app-id", "a.b"},
	} {
		s := sidecar(t, meshBinary, nil, append([]string{"sidecar"}, args...)...)
		if code := s.end(); code == 0 || !strings.Contains(s.out.String(), want) {
			t.Errorf("%v: exit %d, no %q in\n%s", args, code, want, s.out)
		}
	}
}

// Calls reach the app only while it is healthy.
func TestSidecarChecksHealth(t *testing.T) {
	sick := make(chan bool, 1)
	sick <- false
	port := app(t, func(w http.ResponseWriter, r *http.Request) {
		is := <-sick
		sick <- is
		if is && r.URL.Path == "/alive" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "checked", "--app-port", port, "--enable-app-health-check",
		"--app-health-check-path", "alive", "--app-health-probe-interval", "1", "--app-health-threshold", "1")
	works := func() bool { code, _ := s.get("v1.0/invoke/checked/method/x"); return code == http.StatusOK }
	await(t, "the healthy app to be called", works)
	<-sick
	sick <- true
	await(t, "the sick app to be left alone", func() bool { return !works() })
	if _, body := s.get("v1.0/invoke/checked/method/x"); !strings.Contains(body, "app is not in a healthy state") {
		t.Errorf("a call to a sick app says %s", body)
	}
	<-sick
	sick <- false
	await(t, "the app to be called again", works)
	if _, body := s.get("v1.0/metadata"); !strings.Contains(body, `"health":{"healthCheckPath":"/alive","healthProbeInterval":"1s"`) {
		t.Errorf("metadata says %s", body)
	}
}

// A mesh finds others by what a Configuration in its resources asks for.
func TestMeshResolvesBySQLite(t *testing.T) {
	db := filepath.Join(t.TempDir(), "names.db")
	config := "kind: Configuration\nmetadata: {name: names}\nspec:\n  nameResolution:\n    component: sqlite\n    configuration: {connectionString: '" + db + "'}\n"
	one := newProject(t, meshWith("auto"))
	one.write("components/names.yaml", config)
	two := newProject(t, strings.ReplaceAll(meshWith("auto"), "apps.web", "apps.other"))
	two.write("components/names.yaml", strings.ReplaceAll(config, db, "${NAMES_DB}"))
	t.Setenv("NAMES_DB", db)
	r, s := one.up(), two.up()
	r.ready("web", "client")
	s.ready("other", "client")
	r.await("a call to the other mesh", func() bool {
		code, _, err := r.get("client", "v1.0/invoke/other/method/who")
		return err == nil && code == http.StatusOK
	})
	if _, body, err := r.get("client", "v1.0/metadata"); err != nil || !strings.Contains(body, `"nameResolution":"sqlite, mdns"`) {
		t.Errorf("metadata does not say who is asked: %s %v", body, err)
	}
	if _, body, err := r.get("client", "v1.0/invoke/ghost/method/who"); err != nil || !strings.Contains(body, "sqlite: asking sqlite for ghost: no host found") {
		t.Errorf("what is not found does not say who was asked: %s %v", body, err)
	}
}
