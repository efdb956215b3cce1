package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mesh/runtime/component/consultest"
)

// These tests register with an agent of Consul: a real one when MESH_TEST_CONSUL
// names it, else one that stands in for it.

// consulStandIn plays an agent at CONSUL_ADDR.
func consulStandIn() int {
	ln, err := net.Listen("tcp", os.Getenv("CONSUL_ADDR"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	a := consultest.New()
	a.Check = consultest.Probe
	srv := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	fmt.Println("serving:", srv.Serve(ln))
	return 0
}

// consulAgent is a running agent.
type consulAgent struct {
	t    *testing.T
	addr string
}

// startConsul starts an agent that listens on a port of this host, or, with
// within, where a command before it puts it: it must then be asked from there.
func startConsul(t *testing.T, within ...string) *consulAgent {
	t.Helper()
	var ports []string
	for range 4 {
		ports = append(ports, strconv.Itoa(freePort(t)))
	}
	a := &consulAgent{t, "127.0.0.1:" + ports[0]}
	argv := append(slices.Clone(within), os.Args[0])
	env := append(os.Environ(), "E2E_ROLE=consul", "CONSUL_ADDR="+a.addr)
	if binary := os.Getenv("MESH_TEST_CONSUL"); binary != "" {
		env = os.Environ()
		argv = append(slices.Clone(within), binary, "agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", ports[0],
			"-server-port", ports[1], "-serf-lan-port", ports[2], "-serf-wan-port", ports[3], "-grpc-port", "-1", "-dns-port", "-1", "-log-level", "warn")
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, t.TempDir()
	out := &output{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("consul printed:\n%s", out)
		}
	})
	if len(within) == 0 {
		await(t, "consul to have a leader", func() bool {
			code, body, err := get(t.Context(), "http://"+a.addr+"/v1/status/leader")
			return err == nil && code == http.StatusOK && len(body) > 2
		})
	}
	return a
}

// service gives the registration of an app, nil when there is none.
func (a *consulAgent) service(appID string) map[string]any {
	a.t.Helper()
	_, body, err := get(a.t.Context(), "http://"+a.addr+"/v1/agent/services")
	if err != nil {
		a.t.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		a.t.Fatalf("%v in %s", err, body)
	}
	for _, s := range all {
		if s["Service"] == appID {
			return s
		}
	}
	return nil
}

// configuration writes a Configuration with these settings below the agent's
// address, in YAML, and gives the file.
func (a *consulAgent) configuration(settings string) string {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "config.yaml")
	text := "kind: Configuration\nmetadata: {name: names}\nspec:\n  nameResolution:\n    component: consul\n    configuration:\n" +
		"      client: {address: \"" + a.addr + "\"}\n" + settings
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// selfRegistering is the short form of a registration.
const selfRegistering = "      selfRegister: true\n      selfDeregister: true\n      tags: [dapr]\n      meta: {team: shop}\n"

// advanced is a registration as satellites on hosts of their own have it.
const advanced = `      selfRegister: false
      daprPortMetaKey: DAPR_PORT
      queryOptions: {useCache: true}
      advancedRegistration:
        id: ${APP_ID}-here
        name: ${APP_ID}
        port: ${APP_PORT}
        address: ${HOST_ADDRESS}
        tags: [dapr]
        meta:
          DAPR_METRICS_PORT: "${DAPR_METRICS_PORT}"
          DAPR_PROFILE_PORT: "${DAPR_PROFILE_PORT}"
          DAPR_PORT: "${DAPR_PORT}"
`

func TestSidecarsByConsul(t *testing.T) {
	t.Parallel()
	agent := startConsul(t)
	echo := app(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	start := func(id, settings string) *alone {
		return sidecar(t, meshBinary, nil, "sidecar", "--app-id", id, "--app-port", echo, "--config", agent.configuration(settings), "--profile-port", "7000")
	}
	settings := selfRegistering
	if os.Getenv("MESH_TEST_CONSUL") != "" {
		settings += "      useCache: true\n" // follows the agent, as only a real one can be followed
	}
	orders, web := start("orders", settings), start("web", advanced)
	calls := func(s *alone, id string) bool {
		code, body := s.get("v1.0/invoke/" + id + "/method/hello")
		return code == http.StatusOK && body == "/hello"
	}
	await(t, "web to be called, which is registered the advanced way", func() bool { return calls(orders, "web") })
	await(t, "orders to be called, once its check has passed", func() bool { return calls(web, "orders") })
	for app, wants := range map[string][]string{
		"orders": {`"Tags":["dapr"]`, `"team":"shop"`, fmt.Sprintf(`"DAPR_PORT":"%d"`, orders.port("internal")), `"Port":` + echo},
		"web": {
			`"ID":"web-here"`, `"Port":` + echo, `"DAPR_PROFILE_PORT":"7000"`,
			fmt.Sprintf(`"DAPR_METRICS_PORT":"%d"`, web.port("metrics")), fmt.Sprintf(`"DAPR_PORT":"%d"`, web.port("internal")),
		},
	} {
		b, err := json.Marshal(agent.service(app))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("the registration of %s has no %s: %s", app, want, b)
			}
		}
	}
	if _, body := web.get("v1.0/metadata"); !strings.Contains(body, `"nameResolution":"consul"`) {
		t.Errorf("the metadata does not name the resolver: %s", body)
	}
	if err := orders.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := orders.end(); code != 0 || agent.service("orders") != nil {
		t.Errorf("after its end (exit %d) orders is registered as %v", code, agent.service("orders"))
	}
}

// A mesh registers its apps, finds those of others, and follows mesh.toml.
func TestMeshByConsul(t *testing.T) {
	t.Parallel()
	agent := startConsul(t)
	echo := app(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	other := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "other", "--app-port", echo, "--config", agent.configuration(advanced))
	text := meshWith("auto") + `
[mesh.names]
resolvers = ["consul"]
[mesh.names.consul]
client = { address = "` + agent.addr + `" }
`
	r := newProject(t, text+`
selfRegister = false
advancedRegistration = { name = "${APP_ID}", port = "${APP_PORT}", address = "${HOST_ADDRESS}", meta = { DAPR_PORT = "${DAPR_PORT}" } }
`).up()
	r.ready("web", "client")
	r.await("a call to the other sidecar", func() bool {
		code, body, err := r.get("client", "v1.0/invoke/other/method/hello")
		return err == nil && code == http.StatusOK && body == "/hello"
	})
	await(t, "a call from the other sidecar", func() bool {
		code, _ := other.get("v1.0/invoke/web/method/who")
		return code == http.StatusOK
	})
	if out, _, code := r.p.mesh("doctor", "other", "ghost"); code != 1 || !strings.Contains(out, "consul: other is at 127.0.0.1:"+strconv.Itoa(other.port("internal"))) ||
		!strings.Contains(out, "consul: asking consul for ghost: no healthy services found") {
		t.Errorf("doctor exits with %d and says\n%s", code, out)
	}
	r.p.write("mesh.toml", text+`
selfRegister = true
selfDeregister = true
tags = ["saved"]
checks = [{ name = "up", interval = "1s", http = "http://${HOST_ADDRESS}:${DAPR_HTTP_PORT}/v1.0/healthz?appid=${APP_ID}" }]
`)
	r.await("the registration to follow mesh.toml", func() bool {
		return strings.Contains(fmt.Sprint(agent.service("web")), "saved")
	})
	r.await("calls once the check passes", func() bool {
		code, _ := other.get("v1.0/invoke/web/method/who")
		return code == http.StatusOK
	})
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-r.exited
	if s := agent.service("web"); s != nil && strings.Contains(fmt.Sprint(s), "saved") {
		t.Errorf("after the end of the mesh web is still registered: %v", s)
	}
}
