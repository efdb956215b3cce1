package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// way leads from the client to the app.
type way struct {
	name   string
	addr   string // where the client connects
	prefix string // of the app's paths
	pids   []int  // everything between client and app
	procs  []*process
}

func (w *way) stop() {
	for _, p := range w.procs {
		p.stop()
	}
}

func startWay(ctx context.Context, o options, name, app string) (*way, error) {
	w := &way{name: name, addr: app}
	var err error
	switch name {
	case "direct":
	case "reverseproxy":
		err = w.reverseProxy(ctx, app)
	case "nginx":
		err = w.nginx(ctx, o, 1, app)
	case "nginx2":
		err = w.nginx(ctx, o, 2, app)
	case "haproxy":
		err = w.haproxy(ctx, o, app)
	case "daprd":
		err = w.daprd(ctx, app)
	default:
		transport, ok := strings.CutPrefix(name, "mesh-")
		if !ok {
			return nil, fmt.Errorf("there is no way %q", name)
		}
		// "mesh-auto@path" measures another binary beside the one that is given.
		if other, bin, ok := strings.Cut(transport, "@"); ok {
			transport, o.mesh = other, bin
		}
		err = w.mesh(ctx, o, transport, app)
	}
	if err == nil {
		err = awaitHTTP(ctx, w.addr, w.prefix+"/healthz")
	}
	if err != nil {
		for _, p := range w.procs {
			err = fmt.Errorf("%w\n%s", err, p.out.String())
		}
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *way) add(p *process, pids ...int) {
	w.procs = append(w.procs, p)
	w.pids = append(w.pids, pids...)
}

func (w *way) reverseProxy(ctx context.Context, app string) (err error) {
	if w.addr, err = freeAddr(); err != nil {
		return err
	}
	p, err := self(ctx, "proxy", w.addr, app)
	if err == nil {
		w.add(p, p.cmd.Process.Pid)
	}
	return err
}

// nginx with buffering off, as one sets it for streams, and connections kept.
const nginxConf = `daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;
  client_max_body_size 0;
  upstream app { server %[3]s; keepalive 128; keepalive_requests 1000000; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
`

func (w *way) nginx(ctx context.Context, o options, hops int, app string) error {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		return errAbsent
	}
	for hop := range hops {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		dir := filepath.Join(o.dir, fmt.Sprintf("%s-%d", w.name, hop))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, app), 0o600); err != nil {
			return err
		}
		p, err := start(ctx, dir, nil, bin, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
		if err != nil {
			return err
		}
		w.add(p)
		if err := awaitHTTP(ctx, addr, "/healthz"); err != nil {
			return err
		}
		w.pids = append(w.pids, family(p.cmd.Process.Pid)...)
		app = addr
	}
	w.addr = app
	return nil
}

const haproxyConf = `global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-no-delay
frontend f
  bind %s
  default_backend b
backend b
  http-reuse always
  server app %s
`

func (w *way) haproxy(ctx context.Context, o options, app string) (err error) {
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		return errAbsent
	}
	if w.addr, err = freeAddr(); err != nil {
		return err
	}
	conf := filepath.Join(o.dir, "haproxy.cfg")
	if err := os.WriteFile(conf, fmt.Appendf(nil, haproxyConf, w.addr, app), 0o600); err != nil {
		return err
	}
	p, err := start(ctx, o.dir, nil, bin, "-db", "-f", conf)
	if err == nil {
		w.add(p, p.cmd.Process.Pid)
	}
	return err
}

// mesh runs the app as an external one, so that the path is that of a call
// from one app of the mesh to another.
func (w *way) mesh(ctx context.Context, o options, transport, app string) error {
	_, port, err := net.SplitHostPort(app)
	if err != nil {
		return err
	}
	if w.addr, err = freeAddr(); err != nil {
		return err
	}
	_, sidecar, err := net.SplitHostPort(w.addr)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := startMesh(ctx, o, strings.ReplaceAll(w.name, "/", "_"), fmt.Sprintf(`[mesh]
transport = %q
[apps.app]
port = %s
[apps.client]
command = [%q, "idle"]
sidecar = { http_port = %s }
`, transport, port, exe, sidecar))
	if err != nil {
		return err
	}
	w.prefix = "/v1.0/invoke/app/method"
	w.add(p, p.cmd.Process.Pid)
	return nil
}

func startMesh(ctx context.Context, o options, name, toml string) (*process, error) {
	dir := filepath.Join(o.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "mesh.toml"), []byte(toml), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, dir, nil, o.mesh, "up", "--headless")
	if err != nil {
		return nil, fmt.Errorf("starting mesh: %w", err)
	}
	return p, nil
}

// daprd runs two, one for the caller and one for the app, that find each other
// by mDNS.
func (w *way) daprd(ctx context.Context, app string) error {
	bin := os.Getenv("MESH_BENCH_DAPRD")
	if bin == "" {
		return fmt.Errorf("MESH_BENCH_DAPRD names no binary: %w", errAbsent)
	}
	_, port, err := net.SplitHostPort(app)
	if err != nil {
		return err
	}
	// They find each other by name, and other sidecars of this host must not be
	// found in their stead.
	callee := fmt.Sprintf("bench-%d", os.Getpid())
	for _, args := range [][]string{{"--app-id", callee, "--app-port", port}, {"--app-id", callee + "-client"}} {
		var ports []string
		for range 4 {
			addr, err := freeAddr()
			if err != nil {
				return err
			}
			_, p, _ := net.SplitHostPort(addr) // just built
			ports = append(ports, p)
		}
		args = append(args, "--dapr-http-port", ports[0], "--dapr-grpc-port", ports[1], "--dapr-internal-grpc-port", ports[2],
			"--metrics-port", ports[3], "--log-level", "error", "--max-body-size", "2Gi")
		p, err := start(ctx, "", []string{"DAPR_HOST_IP=127.0.0.1"}, append([]string{bin}, args...)...)
		if err != nil {
			return err
		}
		w.add(p, p.cmd.Process.Pid)
		w.addr = "127.0.0.1:" + ports[0]
	}
	w.prefix = "/v1.0/invoke/" + callee + "/method"
	return nil
}
