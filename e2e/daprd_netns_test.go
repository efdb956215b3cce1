//go:build netns && daprd && linux

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realDaprd starts a real daprd for an app at 127.0.0.1:8080 of the host.
func (h host) realDaprd(id string, at int) *alone {
	h.t.Helper()
	binary := os.Getenv("MESH_TEST_DAPRD")
	if binary == "" {
		h.t.Fatal("MESH_TEST_DAPRD must name a daprd")
	}
	port := func(n int) string { return strconv.Itoa(at + n) }
	return sidecar(h.t, "/usr/bin/env", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		"DAPR_HOST_IP="+h.addr, "ip", "netns", "exec", h.name, binary, "--app-id", id, "--app-port", "8080",
		"--dapr-http-port", port(0), "--dapr-grpc-port", port(1), "--dapr-internal-grpc-port", port(2), "--metrics-port", port(3),
		"--resources-path", h.t.TempDir(), "--dapr-graceful-shutdown-seconds", "1")
}

// Two hosts with two real daprds and two meshes' sidecars each, all at port 5353,
// find and call each other; a daprd and a mesh that are started again are
// reached at once.
func TestHostsWithDaprd(t *testing.T) {
	a, b := twoHosts(t)
	for _, h := range []host{a, b} {
		h.app("127.0.0.1", "8080")
	}
	folder := t.TempDir()
	mesh := func(h host, id string, http int) *alone {
		return h.sidecarIn(folder, "--app-id", id, "--app-port", "8080", "--mdns-interface", "all", "--dapr-http-port", strconv.Itoa(http))
	}
	ours, others := map[string]*alone{}, map[string]*alone{}
	place := map[string]host{}
	ports := map[string]int{}
	for i, h := range []host{a, b} {
		for n := range 2 {
			id := fmt.Sprintf("mesh-%d%d", i, n)
			ports[id], place[id] = 3500+n, h
			ours[id] = mesh(h, id, ports[id])
			id = fmt.Sprintf("daprd-%d%d", i, n)
			ports[id], place[id] = 4000+10*n, h
			others[id] = h.realDaprd(id, ports[id])
		}
	}
	call := func(from, to string) string {
		return place[from].fetch(fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/who", ports[from], to))
	}
	reached := func(from, to string) bool { return strings.HasPrefix(call(from, to), "200 "+place[to].name) }
	tried := 0
	for from := range ports {
		for to := range ports {
			_, fromOurs := ours[from]
			_, toOurs := ours[to]
			if from == to || !fromOurs && !toOurs {
				continue // what daprds do among themselves is their own affair
			}
			await(t, from+" to call "+to, func() bool { return reached(from, to) })
			tried++
		}
	}
	t.Logf("%d pairs call each other", tried)
	for _, pair := range [][2]string{{"mesh-00", "daprd-10"}, {"daprd-00", "mesh-10"}} {
		got := place[pair[0]].fetch(fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/%s/method/ticks?n=3", ports[pair[0]], pair[1]))
		if got != "200 tick 0\ntick 1\ntick 2\n <nil>\n" {
			t.Errorf("a stream from %s to %s: %s", pair[0], pair[1], got)
		}
	}

	again := func(from, to string, running *alone, start func() *alone) {
		t.Helper()
		_ = running.cmd.Process.Signal(syscall.SIGTERM)
		running.end()
		start()
		await(t, to+" to be ready again", func() bool {
			return strings.HasPrefix(place[to].fetch(fmt.Sprintf("http://127.0.0.1:%d/v1.0/healthz", ports[to])), "204")
		})
		began := time.Now()
		await(t, from+" to call "+to+" again", func() bool { return reached(from, to) })
		took := time.Since(began)
		t.Logf("%s reached %s %v after it was ready again", from, to, took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("%s needed %v to reach %s after its restart", from, took, to)
		}
	}
	again("mesh-00", "daprd-10", others["daprd-10"], func() *alone { return b.realDaprd("daprd-10", ports["daprd-10"]) })
	again("mesh-00", "mesh-10", ours["mesh-10"], func() *alone { return mesh(b, "mesh-10", ports["mesh-10"]) })
	again("daprd-00", "mesh-11", ours["mesh-11"], func() *alone { return mesh(b, "mesh-11", ports["mesh-11"]) })
}
