package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// mesh is a running mesh of two apps: server, which is called, and client,
// whose sidecar this program calls.
type mesh struct {
	cmd     *exec.Cmd
	log     string // file with its output
	ended   chan struct{}
	sidecar string // URL below which the server's methods are, through the mesh
	app     string // the same, straight
}

// startMesh starts a mesh in dir; the caller stops it.
func startMesh(ctx context.Context, bin, dir, transport string) (*mesh, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf(`name = "bench"

[mesh]
transport = %q

[apps.server]
command = [%q, "serve"]
port    = %d
ready   = { http = "/healthz" }

[apps.client]
command = [%q, "idle"]
sidecar = { http_port = %d }
`, transport, self, ports[0], self, ports[1])
	if err := os.WriteFile(filepath.Join(dir, "mesh.toml"), []byte(file), 0o600); err != nil {
		return nil, err
	}
	m := &mesh{
		log:     filepath.Join(dir, "mesh.log"),
		ended:   make(chan struct{}),
		sidecar: fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/server/method", ports[1]),
		app:     fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
	}
	m.cmd = exec.CommandContext(context.WithoutCancel(ctx), bin, "up", "--headless") // stop ends it, with time to clean up
	m.cmd.Dir = dir
	out, err := os.Create(m.log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	m.cmd.Stdout, m.cmd.Stderr = out, out
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting mesh: %w", err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	return m, nil
}

// ready waits until a call below base comes through.
func (m *mesh) ready(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("no answer within 30 seconds"))
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return nil
			}
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-t.C:
		case <-m.ended:
			return fmt.Errorf("mesh ended: %s", m.said())
		case <-ctx.Done():
			m.stop()
			return fmt.Errorf("%w; mesh said: %s", context.Cause(ctx), m.said())
		}
	}
}

// said gives what the mesh printed so far.
func (m *mesh) said() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// stop ends the mesh and waits for it.
func (m *mesh) stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(15 * time.Second):
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
}

// freePorts finds ports that are free now. They are all held until the last
// one is found, so that no two are the same.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("%v is no TCP address", l.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports, nil
}
