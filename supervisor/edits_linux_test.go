package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/config"
	"mesh/supervisor/logs"
	"mesh/supervisor/state"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// live is a supervisor that runs.
type live struct {
	*Supervisor
	t    *testing.T
	done chan error
	stop context.CancelFunc
}

func start(t *testing.T, m *config.Mesh, change ...func(*Options)) *live {
	t.Helper()
	o := Options{
		First: m, Load: func() (*config.Mesh, error) { return m, nil }, Environ: []string{"PATH=" + os.Getenv("PATH")},
		Flows: flow.NewRecorder(), Logs: logs.New(logs.Options{}), Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &live{Supervisor: s, t: t, done: make(chan error, 1), stop: cancel}
	go func() { l.done <- s.Run(ctx) }() // joined by end
	return l
}

func (l *live) end() {
	l.t.Helper()
	l.stop()
	select {
	case err := <-l.done:
		if err != nil {
			l.t.Error(err)
		}
	case <-time.After(patience):
		l.t.Fatal("the supervisor does not end")
	}
}

// until waits for what is to become true of the mesh.
func (l *live) until(what string, ok func(*state.Mesh) bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for m := l.State(); !ok(m); m = l.Wait(ctx, m.Version) {
		if ctx.Err() != nil {
			l.t.Fatalf("waited in vain for this: %s; the notices are %+v, the apps %+v", what, m.Notices, m.Apps)
		}
	}
}

// settle waits until nothing moves any more and describes the mesh.
func (l *live) settle() string {
	l.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, quiet := describe(l.State())
		if quiet {
			return text
		}
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatalf("the mesh does not come to rest:\n%s", text)
		}
	}
}

// describe says what a mesh is, with the command and the environment of each
// process, and whether it has come to rest.
func describe(m *state.Mesh) (text string, quiet bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", m.Name, m.Transport)
	quiet = true
	for _, a := range m.Apps {
		fmt.Fprintf(&b, "%s external=%v protocol=%s after %v\n", a.ID, a.External, a.Protocol, a.DependsOn)
		for _, i := range a.Instances {
			fmt.Fprintf(&b, "  %s %s listens=%v\n", i.Name, i.Phase, i.AppPort > 0)
			switch i.Phase {
			case state.Pending, state.Starting, state.Stopping, state.Backoff:
				quiet = quiet && a.External
			case state.Ready, state.Stopped, state.Done, state.Failed:
			}
			if i.PID == 0 {
				continue
			}
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", i.PID))
			env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", i.PID))
			vars := strings.Split(string(env), "\x00")
			slices.Sort(vars)
			for n, v := range vars { // which port it is may depend on who came first
				for key, port := range map[string]int{"APP_PORT": i.AppPort, "DAPR_HTTP_PORT": i.HTTPPort, "DAPR_GRPC_PORT": i.GRPCPort} {
					if v == fmt.Sprintf("%s=%d", key, port) {
						vars[n] = key + " is right"
					}
				}
			}
			vars = slices.DeleteFunc(vars, func(v string) bool {
				// The ports of other apps are those of the moment of the start:
				// nobody is started anew because another app comes or goes.
				name, _, _ := strings.Cut(v, "=")
				return name == "" || name == "MESH_RUN" || strings.HasPrefix(name, "MESH_") && strings.HasSuffix(name, "_PORT")
			})
			// A shell has not become its command yet, a process without a command has just ended.
			quiet = quiet && len(command) > 0 && !strings.HasPrefix(string(command), "sh\x00")
			fmt.Fprintf(&b, "    %q\n    %s\n", command, strings.Join(vars, "\n    "))
		}
	}
	return b.String(), quiet
}

// randomFile writes a mesh.toml with some of five apps. Those that others wait
// for always get ready, or completed, so that it does not matter in which order
// a mesh came to be as it is.
func randomFile(r *rand.Rand) string {
	var b strings.Builder
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	fmt.Fprintf(&b, "name = %q\n[mesh]\ntransport = %q\napi_token = %q\n", pick("one", "two"), pick("auto", "grpc"), pick("", "", "", "secret"))
	var tasks, servers []string
	for _, id := range []string{"task", "alpha", "beta", "gamma", "fails", "theirs"} {
		if r.IntN(5) == 0 {
			continue
		}
		fmt.Fprintf(&b, "[apps.%s]\n", id)
		switch id {
		case "task":
			fmt.Fprintf(&b, "command = %q\n", pick("true", "exit 0"))
		case "fails":
			fmt.Fprintf(&b, "command = %q\nrestart = \"never\"\n", pick("false", "exit 3"))
		case "theirs":
			fmt.Fprint(&b, "port = 1\n")
		default:
			fmt.Fprintf(&b, "command = %s\n", pick(`"exec sleep 1000"`, `"exec sleep 1001"`, `["sleep", "1002"]`))
			fmt.Fprintf(&b, "instances = %d\nhold = %q\nmax_concurrency = %d\nready = { exec = \"true\", interval = %q }\n",
				1+r.IntN(3), pick("1s", "2s"), r.IntN(2), pick("10ms", "20ms"))
			if r.IntN(2) == 0 {
				fmt.Fprint(&b, "port = \"auto\"\n")
			}
			var deps []string
			if len(tasks) > 0 && r.IntN(2) == 0 {
				deps = append(deps, `task = "completed"`)
			}
			if len(servers) > 0 && r.IntN(2) == 0 {
				deps = append(deps, fmt.Sprintf("%s = %q", pick(servers...), pick("ready", "started")))
			}
			fmt.Fprintf(&b, "depends_on = { %s }\n", strings.Join(deps, ", "))
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "env = { COLOR = %q }\n", pick("red", "green"))
		}
		if id == "task" {
			tasks = append(tasks, id)
		} else {
			servers = append(servers, id)
		}
	}
	return b.String()
}

// TestEditsEndLikeAColdStart applies files one after the other, some before the
// mesh has come to rest, with commands in between. What is then must be what a
// start with the last file gives, down to environments, and nothing
// may be left of the way there.
func TestEditsEndLikeAColdStart(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			parse := func(text string) *config.Mesh {
				t.Helper()
				m, err := config.Parse(filepath.Join(dir, "mesh.toml"), []byte(text), config.Options{})
				if err != nil {
					t.Fatalf("%v in\n%s", err, text)
				}
				return m
			}
			var files []string
			next := func() *config.Mesh {
				files = append(files, randomFile(r))
				return parse(files[len(files)-1])
			}
			before := runtime.NumGoroutine()
			hot := start(t, next())
			for range 6 {
				if r.IntN(3) == 0 {
					hot.settle()
				}
				if r.IntN(3) == 0 {
					if _, err := hot.find(t.Context(), "alpha"); err == nil {
						if err := hot.Do(t.Context(), state.Command{Op: state.Restart, App: "alpha"}); err != nil {
							t.Errorf("restarting alpha: %v", err)
						}
					}
				}
				if err := hot.Apply(t.Context(), next()); err != nil {
					t.Fatalf("%v\n%s", err, files[len(files)-1])
				}
			}
			got := hot.settle()
			hot.end()
			last := files[len(files)-1]
			cold := start(t, parse(last))
			want := cold.settle()
			cold.end()
			if got != want {
				t.Errorf("after the edits\n\n%s\n\nthe mesh is\n%s\ninstead of\n%s", strings.Join(files, "\n---\n"), got, want)
			}
			deadline := time.Now().Add(patience)
			for runtime.NumGoroutine() > before {
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<20)
					t.Fatalf("%d goroutines have become %d:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
				}
				runtime.Gosched()
			}
		})
	}
}
