//go:build daprd

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests hold mesh to a real daprd, which MESH_TEST_DAPRD names:
//
//	MESH_TEST_DAPRD=/usr/local/bin/daprd go test -tags daprd -run Daprd ./e2e

// daprd is a real daprd in front of an app that plays "server".
type daprd struct {
	t    *testing.T
	id   string
	http int
	peer int // port for other sidecars
	out  *output
	app  *exec.Cmd
}

// freePorts gives ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatalf("%v is no TCP address", l.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports
}

// startDaprd starts an app and a daprd for it and waits until both are ready.
func startDaprd(t *testing.T, id string) *daprd {
	t.Helper()
	p := freePorts(t, 5)
	d := &daprd{t: t, id: id, http: p[1]}
	app := exec.Command(os.Args[0])
	app.Env = append(os.Environ(), "E2E_ROLE=server", fmt.Sprintf("APP_PORT=%d", p[0]), "MESH_INSTANCE="+id)
	d.app = app
	d.out = launch(t, app)
	d.run(p)
	return d
}

// run starts the daprd itself on ports for the app, HTTP, gRPC, peers and metrics.
func (d *daprd) run(p []int, more ...string) {
	d.t.Helper()
	d.peer = p[3]
	binary := os.Getenv("MESH_TEST_DAPRD")
	if binary == "" {
		d.t.Fatal("MESH_TEST_DAPRD must name a daprd")
	}
	sidecar := exec.Command(binary, append(more, "--app-id", d.id, "--app-port", strconv.Itoa(p[0]),
		"--dapr-http-port", strconv.Itoa(p[1]), "--dapr-grpc-port", strconv.Itoa(p[2]), "--dapr-internal-grpc-port", strconv.Itoa(p[3]),
		"--metrics-port", strconv.Itoa(p[4]), "--dapr-listen-addresses", "127.0.0.1", "--max-body-size", "64Mi",
		"--resources-path", d.t.TempDir(), "--dapr-graceful-shutdown-seconds", "1")...)
	sidecar.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1")
	out := launch(d.t, sidecar)
	await(d.t, "daprd of "+d.id, func() bool {
		code, _, err := get(d.t.Context(), d.url("v1.0/healthz"))
		return err == nil && code == http.StatusNoContent
	})
	d.out = out
}

func (d *daprd) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", d.http, path) }

// launch starts a process that ends with the test, and gives what it prints.
func launch(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { // joined by the cleanup
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(cmd.Path), out)
		}
	})
	return out
}

// pairing is one way to call: through the sidecar at base to the app named to.
type pairing struct {
	base, to string
}

func (p pairing) url(path string) string {
	return p.base + "v1.0/invoke/" + p.to + "/method/" + strings.TrimPrefix(path, "/")
}

// unique makes an app id that of this run alone.
func unique(id string) string { return fmt.Sprintf("%s-%d", id, os.Getpid()) }

// pairUp starts a mesh that announces itself on an interface, and a daprd, and
// waits until each finds the other.
func pairUp(t *testing.T, iface string) (r *running, d *daprd, both map[string]pairing) {
	t.Helper()
	// Whoever else tests on this host must not be called by mistake.
	web, other := unique("web"), unique("real")
	d = startDaprd(t, other)
	r = newProject(t, strings.ReplaceAll(meshWith("auto"), "apps.web", "apps."+web)+"[mesh.mdns]\ninterface = \""+iface+"\"\n").up()
	r.ready(web, "client")
	both = map[string]pairing{
		"daprd to mesh": {d.url(""), web},
		"mesh to daprd": {fmt.Sprintf("http://127.0.0.1:%d/", r.instance("client").HTTPPort), other},
	}
	for way, p := range both {
		await(t, way, func() bool {
			code, _, err := get(t.Context(), p.url("who"))
			return err == nil && code == http.StatusOK
		})
	}
	return r, d, both
}

func TestDaprdForms(t *testing.T) {
	for _, iface := range []string{"loopback", "all"} {
		_, _, both := pairUp(t, iface)
		for way, p := range both {
			t.Run(iface+" "+way, func(t *testing.T) { forms(t, p) })
		}
	}
}

func forms(t *testing.T, p pairing) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url("see")+"?a=%20b&c", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Test", "passed")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusTeapot || string(b) != "PUT /see?a=%20b&c passed" || resp.Header.Get("X-App") != "yes" {
		t.Errorf("%d %q %v", resp.StatusCode, b, err)
	}
	if code, _, err := get(t.Context(), p.url("nowhere")); code != http.StatusNotFound || err != nil {
		t.Errorf("a path that the app does not have: %d %v", code, err)
	}
}

func TestDaprdRepliesStream(t *testing.T) {
	_, _, both := pairUp(t, "loopback")
	for way, p := range both {
		for _, accept := range []string{"", "text/event-stream"} {
			t.Run(way+" "+accept, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url("ticks"), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", accept)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				// The reply never ends: lines arrive only if nobody gathers them.
				for i, s := 0, bufio.NewScanner(resp.Body); i < 10; i++ {
					if !s.Scan() || s.Text() != fmt.Sprintf("tick %d", i) {
						t.Fatalf("line %d is %q: %v", i, s.Text(), s.Err())
					}
				}
			})
		}
	}
}

func TestDaprdRequestsStream(t *testing.T) {
	_, _, both := pairUp(t, "loopback")
	for way, p := range both {
		t.Run(way, func(t *testing.T) {
			for _, size := range []int{20 << 20, 0, 1} {
				chunked := io.MultiReader(bytes.NewReader(make([]byte, size)), strings.NewReader("end"))
				for name, body := range map[string]io.Reader{"chunked": chunked, "of known length": bytes.NewReader(make([]byte, size+3))} {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url("count"), body)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if want := fmt.Sprintf("%d <nil>", size+3); err != nil || string(b) != want {
						t.Errorf("%d bytes %s: the app counts %q, %v", size+3, name, b, err)
					}
				}
			}
		})
	}
}

// A caller that leaves must reach the app, and the sidecars must live on.
func TestDaprdCancel(t *testing.T) {
	r, _, both := pairUp(t, "loopback")
	for way, p := range both {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url("ticks"), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 6)); err != nil {
			t.Fatal(way, err)
		}
		cancel()
		resp.Body.Close()
	}
	await(t, "the app of the mesh to be told", func() bool { return strings.Contains(r.out.String(), "caller gone") })
	for way, p := range both {
		if code, body, err := get(t.Context(), p.url("who")); code != http.StatusOK || err != nil {
			t.Errorf("%s, after the caller had left: %d %s %v", way, code, body, err)
		}
	}
}

// A connection between peers must outlive a silence longer than any keepalive.
func TestDaprdIdleMinute(t *testing.T) {
	_, _, both := pairUp(t, "loopback")
	quiet := time.NewTimer(62 * time.Second)
	defer quiet.Stop()
	<-quiet.C
	for way, p := range both {
		if code, _, err := get(t.Context(), p.url("who")); code != http.StatusOK || err != nil {
			t.Errorf("%s: %d %v", way, code, err)
		}
	}
}

// Mesh must not lose a minute to what a daprd that has gone announced, nor to
// one that comes back.
func TestDaprdRestart(t *testing.T) {
	_, _, both := pairUp(t, "loopback")
	base := both["mesh to daprd"].base
	var last string
	for i := range 3 {
		name := fmt.Sprintf("again-%d", i)
		t.Run(name, func(t *testing.T) {
			d := startDaprd(t, unique("again"))
			began := time.Now()
			await(t, name, func() bool {
				code, body, err := get(t.Context(), pairing{base, d.id}.url("who"))
				last = body
				return err == nil && code == http.StatusOK
			})
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v to reach a daprd that is ready", took)
			}
		})
	}
	if !strings.HasPrefix(last, "again") {
		t.Errorf("the last answer is %q", last)
	}
}
