package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The flags of daprd that change what a sidecar does change it, and policies
// follow their file.
func TestSidecarFlagsHaveTheirEffect(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	slow := app(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/dapr/") {
			asked <- r.URL.Path
		}
		if r.URL.Path != "/slow" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		select { // longer than the policy allows
		case <-r.Context().Done():
		case <-time.After(700 * time.Millisecond):
		}
	})
	dir := t.TempDir()
	policy := func(timeout string) {
		text := "kind: Resiliency\nmetadata: {name: quick}\nscopes: [limited]\nspec:\n  policies:\n    timeouts: {short: " + timeout + "}\n  targets:\n    apps:\n      limited: {timeout: short}\n"
		text += "---\nkind: Resiliency\nmetadata: {name: others}\nscopes: [somebody]\nspec:\n  policies:\n    timeouts: {none: 1ms}\n  targets:\n    apps:\n      limited: {timeout: none}\n"
		if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	policy("100ms")
	profile := freePort(t)
	s := sidecar(t, meshBinary, nil, "sidecar", "--app-id", "limited", "--app-port", slow, "--resources-path", dir,
		"--enable-api-logging", "--allowed-origins", "https://shop.example, https://*.test", "--enable-profiling", "--profile-port", strconv.Itoa(profile),
		"--disable-init-endpoints", "config,subscribe")
	await(t, "health", func() bool { code, _ := s.get("v1.0/healthz"); return code == http.StatusNoContent })

	if code, body := s.get("v1.0/invoke/limited/method/slow"); code != http.StatusInternalServerError && code != http.StatusGatewayTimeout {
		t.Errorf("a call that takes longer than its policy allows: %d %s", code, body)
	}
	if _, body := s.get("v1.0/metadata"); !strings.Contains(body, `"quick"`) || strings.Contains(body, `"others"`) {
		t.Errorf("the metadata names other policies than those in scope: %s", body)
	}
	policy("10s")
	await(t, "the edited policy", func() bool {
		code, _ := s.get("v1.0/invoke/limited/method/slow")
		return code == http.StatusOK
	})

	if len(asked) > 0 {
		t.Errorf("the app was asked for %s", <-asked)
	}
	if !strings.Contains(s.out.String(), `msg="HTTP API Called"`) || !strings.Contains(s.out.String(), `method="GET /v1.0/invoke/limited/method/slow"`) {
		t.Error("calls of the API are not in the log")
	}
	for origin, want := range map[string]string{"https://shop.example": "https://shop.example", "https://a.test": "https://a.test", "https://evil.example": ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, fmt.Sprintf("http://127.0.0.1:%d/v1.0/metadata", s.port("http")), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", http.MethodGet)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || resp.StatusCode != http.StatusNoContent {
			t.Errorf("a script of %s is told %d %q", origin, resp.StatusCode, got)
		}
	}
	if code, _, err := get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/cmdline", profile)); code != http.StatusOK || err != nil {
		t.Errorf("profiles: %d %v", code, err)
	}
}

// This is the command line that `dapr run --app-id a --app-port N` makes, and the
// Configuration that it installs.
func TestDaprRunStartsMeshInstead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "daprd")
	if err := os.Symlink(meshBinary, link); err != nil {
		t.Fatal(err)
	}
	config := "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: daprConfig\nspec:\n  tracing:\n    samplingRate: \"1\"\n    zipkin:\n      endpointAddress: http://localhost:9411/api/v2/spans\n"
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "components"), 0o755); err != nil {
		t.Fatal(err)
	}
	port := app(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	ports := map[string]string{}
	for _, name := range []string{"dapr-http-port", "dapr-grpc-port", "metrics-port", "dapr-internal-grpc-port"} {
		ports[name] = strconv.Itoa(freePort(t))
	}
	s := sidecar(t, link, nil,
		"--config", filepath.Join(dir, "config.yaml"), "--app-protocol", "http", "--log-level", "info", "--app-max-concurrency", "-1",
		"--placement-host-address", "localhost:50005", "--resources-path", filepath.Join(dir, "components"), "--max-body-size", "4Mi", "--read-buffer-size", "4Ki",
		"--scheduler-host-address", "localhost:50006", "--app-id", "a", "--app-port", port, "--dapr-http-port", ports["dapr-http-port"], "--dapr-grpc-port", ports["dapr-grpc-port"],
		"--profile-port", "-1", "--metrics-port", ports["metrics-port"], "--dapr-internal-grpc-port", ports["dapr-internal-grpc-port"], "--log-as-json")
	base := "http://127.0.0.1:" + ports["dapr-http-port"]
	await(t, "health", func() bool {
		code, _, err := get(t.Context(), base+"/v1.0/healthz/outbound")
		return err == nil && code == http.StatusNoContent
	})
	await(t, "a call of the app", func() bool {
		code, body, err := get(t.Context(), base+"/v1.0/invoke/a/method/hello")
		return err == nil && code == http.StatusOK && body == "/hello"
	})
	for line := range strings.Lines(s.out.String()) {
		if strings.HasPrefix(line, "mesh: note: ") {
			continue // stderr
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == nil || entry["time"] == nil || entry["level"] == nil || entry["app_id"] != "a" {
			t.Errorf("with --log-as-json a line of the log is %s", line)
		}
	}
}
