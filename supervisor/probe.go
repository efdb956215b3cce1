package supervisor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"mesh/supervisor/config"
	"mesh/supervisor/proc"
)

// check looks once whether an app is well; the error says in words what is
// still missing.
type check func(ctx context.Context) error

// readiness is how one start of an app is watched until it is ready.
type readiness struct {
	check    check // nil: ready after settle
	settle   time.Duration
	first    time.Duration
	interval time.Duration     // the longest pause between checks
	timeout  time.Duration     // of one check
	line     func(text string) // told every line of output; nil when nobody needs them
	env      []string          // of the process
}

// eager is the first pause between checks that cost next to nothing.
const eager = 5 * time.Millisecond

// survival is how long an app without a check runs before it counts as ready.
const survival = 200 * time.Millisecond

// newReadiness turns the configuration into a check. A declared port without a
// probe is checked by connecting to it; an app without either is ready when it
// has not ended at once. Nobody reads the output of an external app, so that a
// check of its lines is none.
func (u *unit) newReadiness(d *desired, env []string) readiness {
	r := readiness{first: eager, interval: 100 * time.Millisecond, timeout: time.Second, env: env}
	if !u.external {
		r.settle = survival
	}
	p := d.app.Ready
	if p == nil || u.external && p.Log != "" {
		if u.at.app > 0 {
			r.check = tcpCheck(u.at.app)
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
	case p.Log != "":
		r.check, r.line = logCheck(p.Log)
	case p.Exec != "":
		r.first = r.interval
		fallthrough
	default:
		r.check = u.probe(p, d.app, env)
	}
	return r
}

// probe gives the check of a probe, nil when there is nothing to check.
func (u *unit) probe(p *config.Probe, a *config.App, env []string) check {
	switch {
	case p.HTTP != "":
		return httpCheck(p.HTTP, a.Protocol, u.at.app)
	case p.GRPC != "":
		return grpcCheck(p.GRPC, a.Protocol, u.at.app)
	case p.Exec != "":
		return u.s.execCheck(u.name, p.Exec, a.Dir, env)
	case u.at.app > 0:
		return tcpCheck(u.at.app)
	}
	return nil
}

// wait blocks until the check succeeds or ctx ends; late is told, at most once
// a second, what is still missing.
func (r readiness) wait(ctx context.Context, late func(why string)) error {
	if r.check == nil {
		select {
		case <-time.After(r.settle):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	pause := min(r.first, r.interval)
	tick := time.NewTimer(pause)
	defer tick.Stop()
	told := time.Now() // who is quick has nothing to explain
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
		pause = min(pause*3/2, r.interval)
		tick.Reset(pause)
	}
}

func tcpCheck(port int) check {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", loopback(port))
		if err != nil {
			return fmt.Errorf("port %d does not accept connections", port)
		}
		return c.Close()
	}
}

// httpCheck asks a path of the app, or a whole URL. Its connection is closed by
// us, not by the app, whose port would be taken for a minute otherwise.
func httpCheck(target, protocol string, port int) check {
	url := target
	if !strings.Contains(target, "://") {
		scheme := "http"
		if protocol == "https" || protocol == "grpcs" {
			scheme = "https"
		}
		url = scheme + "://" + loopback(port) + "/" + strings.TrimPrefix(target, "/")
	}
	tr := &http.Transport{TLSClientConfig: anyCertificate()}
	if protocol == "h2c" || protocol == "grpc" {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	client := &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("asking %s: %w", url, err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%s does not answer", url)
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 2 && resp.StatusCode/100 != 3 {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}

// anyCertificate accepts what a server on this machine shows: apps under
// development sign their certificates themselves.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the app of the user, on loopback
}

// dial connects to the app's gRPC server.
func dial(protocol string, port int) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if protocol == "grpcs" || protocol == "https" {
		creds = credentials.NewTLS(anyCertificate())
	}
	conn, err := grpc.NewClient(loopback(port), grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, fmt.Errorf("preparing the gRPC check: %w", err)
	}
	return conn, nil
}

func grpcCheck(service, protocol string, port int) check {
	if service == "*" {
		service = ""
	}
	return func(ctx context.Context) error {
		conn, err := dial(protocol, port)
		if err != nil {
			return err
		}
		defer conn.Close()
		resp, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{Service: service})
		if err != nil {
			return errors.New("the gRPC health service does not answer")
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

// execCheck runs a line for the shell, which cannot outlive the check.
func (s *Supervisor) execCheck(name, line, dir string, env []string) check {
	return func(ctx context.Context) error {
		var out head
		exit, err := s.shell(ctx, "the check of "+name, line, dir, env, out.add)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("`%s` takes too long", line)
		case !exit.Success():
			first, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
			return fmt.Errorf("`%s` %s: %s", line, exit, first)
		}
		return nil
	}
}

// shell runs a line for the shell to its end. The end of ctx ends it together
// with all that it has started.
func (s *Supervisor) shell(ctx context.Context, name, line, dir string, env []string, out func(proc.Line)) (proc.Exit, error) {
	child, err := proc.Start(proc.Spec{Name: name, Shell: line, Dir: dir, Env: env}, s.o.Guardian, out)
	if err != nil {
		return proc.Exit{}, err //nolint:wrapcheck // it says what was to be started
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		child.Stop(ctx) // at once: ctx has ended
	}
	return child.Exit(), nil
}

// head keeps the first lines of an output: compilers say what matters first.
type head struct {
	mu    sync.Mutex
	lines []string
	more  int
}

const (
	headLines = 30
	headWidth = 300
)

func (h *head) add(l proc.Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lines) == headLines {
		h.more++
		return
	}
	h.lines = append(h.lines, strings.Clone(l.Text[:min(len(l.Text), headWidth)]))
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := strings.Join(h.lines, "\n")
	if h.more > 0 {
		text += fmt.Sprintf("\n(and %d more lines)", h.more)
	}
	return text
}
