//go:build netns && linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The demo with its apps on one host and their sidecars on another, as satellites:
// names by Consul, Redis in a folder that both sidecars share and that is edited
// while orders go on, localhost:3500 and :50001 brought to the apps by relays.
func TestHostsHelloWithSatellites(t *testing.T) {
	apps, sidecars := twoHosts(t)
	agent := startConsul(t, "ip", "netns", "exec", sidecars.name)
	hello := filepath.Join(hello(t, "mesh.toml").dir, "hello")
	for _, port := range []string{"6379", "6380"} {
		sidecars.run(nil, "redis-server", "--port", port, "--bind", sidecars.addr, "--protected-mode", "no", "--save", "", "--dir", t.TempDir())
	}
	keys := func(port string) string {
		return sidecars.says(nil, "redis-cli", "-h", sidecars.addr, "-p", port, "keys", "*")
	}
	await(t, "both Redis", func() bool {
		return !strings.Contains(keys("6379")+keys("6380"), "refused")
	})
	shared := t.TempDir()
	example, err := os.ReadFile(filepath.Join("..", "examples", "hello", "redis.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	redis := func(port string) {
		text := strings.ReplaceAll(string(example), "localhost:6379", sidecars.addr+":"+port)
		if err := os.WriteFile(filepath.Join(shared, "redis.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	redis("6379")
	config := agent.configuration(advanced)
	flags := func(id, app, http, grpc string) []string {
		return []string{
			"--app-id", id, "--app-channel-address", apps.addr, "--app-port", app, "--dapr-listen-addresses", sidecars.addr,
			"--dapr-http-port", http, "--dapr-grpc-port", grpc, "--config", config, "--resources-path", shared,
		}
	}
	first := sidecars.sidecar(flags("orders", "3000", "3500", "50001")...)
	sidecars.sidecar(flags("producer", "3001", "3501", "50002")...)
	apps.run(nil, meshBinary, "relay", sidecars.addr)
	apps.run(nil, meshBinary, "relay", sidecars.addr, "--http-port", "3501", "--to-http-port", "3501", "--grpc-port", "50002", "--to-grpc-port", "50002")
	apps.run([]string{"APP_HOST=" + apps.addr, "APP_PORT=3000"}, hello, "orders")
	producer := apps.run([]string{"APP_HOST=" + apps.addr, "APP_PORT=3001", "DAPR_HTTP_PORT=3501"}, hello, "producer")

	heard := func() int { return latest(producer.String(), "heard that order ") }
	await(t, "orders that are kept and heard of", func() bool { return heard() > 0 })
	if got := keys("6379"); !strings.Contains(got, "orders||order") {
		t.Errorf("the first Redis has %s", got)
	}
	refused := strings.Count(producer.String(), "is not taken")
	redis("6380")
	await(t, "the second Redis to be used", func() bool { return strings.Contains(keys("6380"), "orders||order") })
	before := heard()
	await(t, "orders that are heard of by way of the second Redis", func() bool { return heard() > before })
	if now := strings.Count(producer.String(), "is not taken"); now > refused {
		t.Errorf("orders were refused while the components were exchanged:\n%s", producer)
	}

	sidecar := func() string {
		return apps.says([]string{"E2E_ROLE=metadata", "ADDR=localhost:50001"}, os.Args[0])
	}
	if got := sidecar(); got != "orders\n" {
		t.Errorf("by gRPC through the relay the sidecar says %q", got)
	}
	_ = first.cmd.Process.Signal(os.Interrupt)
	first.end()
	sidecars.sidecar(flags("orders", "3000", "3500", "50001")...)
	before = heard()
	await(t, "orders after a sidecar was started again", func() bool { return heard() > before })
	if got := sidecar(); got != "orders\n" {
		t.Errorf("by gRPC after the restart the sidecar says %q", got)
	}
	if got := apps.fetch("http://localhost:3500/v1.0/invoke/orders/method/order"); !strings.Contains(got, "orderId") {
		t.Errorf("the latest order is %s", got)
	}
}
