package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"mesh/supervisor/config"
)

// check looks once whether an app is ready; the error says in words what is
// still missing.
type check func(ctx context.Context) error

// readiness is how one start of an app is watched until it is ready.
type readiness struct {
	check    check // nil: ready at once
	interval time.Duration
	timeout  time.Duration     // of one check
	line     func(text string) // told every line of output; nil when nobody needs them
}

// newReadiness turns the configuration into a check. A declared port without a
// probe is checked by connecting to it; an app without either is ready as soon
// as it runs.
func newReadiness(a *config.App, port int, dir string, env []string) readiness {
	r := readiness{interval: 100 * time.Millisecond, timeout: time.Second}
	p := a.Ready
	if p == nil {
		if port > 0 {
			r.check = tcpCheck(port)
		}
		return r
	}
	if p.Interval > 0 {
		r.interval = p.Interval
	}
	if p.Timeout > 0 {
		r.timeout = p.Timeout
	}
	switch {
	case p.HTTP != "":
		r.check = httpCheck(p.HTTP, port)
	case p.GRPC != "":
		r.check = grpcCheck(p.GRPC, port)
	case p.Log != "":
		r.check, r.line = logCheck(p.Log)
	case p.Exec != "":
		r.check = execCheck(p.Exec, dir, env)
	case p.TCP && port > 0:
		r.check = tcpCheck(port)
	}
	return r
}

// wait blocks until the check succeeds or ctx ends; late is told, at most once
// a second, what is still missing.
func (r readiness) wait(ctx context.Context, late func(why string)) error {
	if r.check == nil {
		return nil
	}
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	var told time.Time
	for {
		tryCtx, cancel := context.WithTimeout(ctx, r.timeout)
		err := r.check(tryCtx)
		cancel()
		if err == nil {
			return nil
		}
		if now := time.Now(); now.Sub(told) >= time.Second && ctx.Err() == nil {
			told = now
			late(err.Error())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func tcpCheck(port int) check {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", loopback(port))
		if err != nil {
			return fmt.Errorf("port %d does not accept connections yet", port)
		}
		return c.Close()
	}
}

func httpCheck(target string, port int) check {
	url := target
	if !strings.Contains(target, "://") {
		url = "http://" + loopback(port) + "/" + strings.TrimPrefix(target, "/")
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("asking %s: %w", url, err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%s does not answer yet", url)
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 2 && resp.StatusCode/100 != 3 {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}

func grpcCheck(service string, port int) check {
	if service == "*" {
		service = ""
	}
	return func(ctx context.Context) error {
		conn, err := grpc.NewClient(loopback(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return fmt.Errorf("asking the gRPC health service: %w", err)
		}
		defer conn.Close()
		resp, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{Service: service})
		if err != nil {
			return errors.New("the gRPC health service does not answer yet")
		}
		if resp.GetStatus() != health.HealthCheckResponse_SERVING {
			return fmt.Errorf("the gRPC health service says %s", resp.GetStatus())
		}
		return nil
	}
}

// logCheck is ready once a line of output has matched. The pattern has been
// compiled when the configuration was read.
func logCheck(pattern string) (check, func(string)) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return func(context.Context) error { return fmt.Errorf("compiling ready.log: %w", err) }, nil
	}
	seen := make(chan struct{})
	found := sync.OnceFunc(func() { close(seen) })
	line := func(text string) { // called by one goroutine per stream
		if re.MatchString(text) {
			found()
		}
	}
	return func(ctx context.Context) error {
		select {
		case <-seen:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("no line matches %q yet", pattern)
		}
	}, line
}

func execCheck(line, dir string, env []string) check {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Dir, cmd.Env = dir, env
		cmd.WaitDelay = time.Second
		if out, err := cmd.CombinedOutput(); err != nil {
			first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			return fmt.Errorf("`%s` says %w: %s", line, err, first)
		}
		return nil
	}
}
