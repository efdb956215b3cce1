package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mesh/runtime/component/servertest"
)

// hello copies the demo into a project, with its Go apps built.
func hello(t *testing.T, file string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir()}
	example := filepath.Join("..", "examples", "hello")
	if err := os.CopyFS(p.dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(p.dir, "hello")
	if out, err := exec.Command("go", "build", "-o", binary, "mesh/examples/hello").CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(example, file))
	if err != nil {
		t.Fatal(err)
	}
	p.write("mesh.toml", strings.ReplaceAll(string(text), "go run .", binary))
	return p
}

// TestHello: the demo runs on nothing, and on Redis once its file is there,
// while orders go on.
func TestHello(t *testing.T) {
	t.Parallel()
	p := hello(t, "mesh.toml")
	r := p.up()
	r.ready("orders", "producer")
	r.await("an order that was kept and heard of", func() bool { return strings.Contains(r.out.String(), "heard that order") })
	if status, body, err := r.get("producer", "v1.0/invoke/orders/method/order"); err != nil || status != 200 || !strings.Contains(body, `"orderId":`) {
		t.Errorf("the latest order is %d %s %v", status, body, err)
	}

	redis := servertest.Redis(t)
	text, err := os.ReadFile(filepath.Join(p.dir, "redis.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("components/redis.yaml", strings.ReplaceAll(string(text), "localhost:6379", redis.Addr))
	r.await("Redis to be the store", func() bool {
		c := r.component("statestore")
		return c.Type == "state.redis" && c.State == "ready" && r.component("pubsub").Type == "pubsub.redis"
	})
	before := latest(r.out.String(), "heard that order ")
	r.await("orders that are heard of by way of Redis", func() bool { return latest(r.out.String(), "heard that order ") > before+2 })
	if strings.Contains(r.out.String(), "is not taken") {
		t.Error("an order was refused while the components were swapped")
	}
}

// latest gives the largest number that follows a text.
func latest(out, after string) (most int) {
	for _, part := range strings.Split(out, after)[1:] {
		var n int
		if _, err := fmt.Sscan(part, &n); err == nil {
			most = max(most, n)
		}
	}
	return most
}

// TestHelloInOtherLanguages: the same apps in JavaScript and Python.
func TestHelloInOtherLanguages(t *testing.T) {
	t.Parallel()
	p := hello(t, "languages.toml")
	r := p.up()
	r.ready("orders", "producer")
	r.await("an order that was kept and heard of", func() bool { return strings.Contains(r.out.String(), "heard that order") })
}
