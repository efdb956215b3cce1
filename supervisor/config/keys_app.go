package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// unbounded is the upper end of a number that has none.
const unbounded = math.MaxInt32

// sortedKeys gives the names of a table in order.
func sortedKeys[V any](byName map[string]V) []string { return slices.Sorted(maps.Keys(byName)) }

// appTable is one [apps.*].
func appTable() table[App] {
	return table[App]{
		doc: "A service. Without a command it is started by someone else.",
		fields: slices.Concat([]field[App]{
			key("command", "What to run: a line for the shell, or a list of the program and its arguments.",
				command(), func(a *App, v commandLine) { a.Shell, a.Argv = v.shell, v.argv }).alias("cmd", "run", "exec", "start", "entrypoint"),
			key("dir", "Folder to run in.", path(), func(a *App, v string) { a.Dir = v }).or(".").alias("cwd", "working_dir", "workdir", "path", "folder", "appdirpath"),
			key("port", `Where the app listens: a number, or "auto": picked and handed over in APP_PORT.`,
				port(), func(a *App, v portChoice) { a.Port, a.AutoPort = v.fixed, v.auto }).alias("app_port", "ports", "listen", "appport"),
			key("protocol", "What the app speaks on its port.", enum("http", "https", "h2c", "grpc", "grpcs"), func(a *App, v string) { a.Protocol = v }).or("http").alias("app_protocol", "proto", "scheme", "appprotocol"),
			key("instances", "How many of it run.", integer(0, 1000), func(a *App, v int) { a.Instances = v }).or(int64(1)).alias("replicas", "scale", "count"),
			key("pty", "Whether it runs at a terminal of its own, for colours and prompts.", boolean(), func(a *App, v bool) { a.PTY = v }).or(false).alias("tty", "is_tty", "interactive"),
			key("build", "Line for the shell that builds it, before its first start and when sources have changed; when it fails, the running app stays.", shell(), func(a *App, v string) { a.Build = v }),
			key("watch", `Patterns of files below dir whose change restarts it, such as "**/*.go".`, list(glob()), func(a *App, v []string) { a.Watch = v }),
			key("ignore", "Patterns of files that watch leaves out.", list(glob()), func(a *App, v []string) { a.Ignore = v }).alias("exclude"),
			key("env", "Variables of its environment.", dict(scalar(), variableName, nil), func(a *App, v map[string]string) { a.Env = v }).alias("environment", "environ", "vars"),
			key("env_file", "Files with KEY=value lines for its environment. The later file wins; env and the environment mesh was started in win over both.", list(path()), func(a *App, v []string) { a.EnvFiles = v }).alias("dotenv"),
			key("depends_on", `What must be started, ready or completed before it starts: { inventory = "ready" }, or ["inventory"] for ready.`,
				dependencies(), func(a *App, v []Dependency) { a.DependsOn = v }).alias("needs", "requires", "after", "wait_for"),
		}, appLife(), appSidecar()),
		first: func(d *decoder, n node) { d.appEnv = d.envFiles(n) },
		check: func(d *decoder, n node, a *App) {
			a.FileEnv = pairs(d.appEnv)
			d.appEnv = nil
			d.checkApp(n, a)
		},
	}
}

// appLife is how an app starts, is watched and stops.
func appLife() []field[App] {
	return []field[App]{
		key("ready", "How to tell that it is ready; by default its port must accept a connection.", probe("100ms", true), func(a *App, v Probe) { a.Ready = &v }).alias("readiness_probe", "readiness", "healthcheck"),
		key("live", "How to tell that it still works; when it does not, it is restarted.", probe("10s", false), func(a *App, v Probe) { a.Live = &v }).alias("liveness_probe", "liveness", "alive"),
		key("restart", "When it is started again after it has ended.", enum("always", "on-failure", "never"), func(a *App, v string) { a.Restart = v }).or("on-failure"),
		key("success_exit_codes", "Exit codes that are no failure.", list(integer(0, 255)), func(a *App, v []int) { a.SuccessCodes = slices.Compact(slices.Sorted(slices.Values(v))) }).or([]any{int64(0)}).alias("success_codes"),
		key("hold", "How long calls wait while it starts or restarts; 0s: they fail at once.", duration(), func(a *App, v time.Duration) { a.Hold = v }).or("15s"),
		section("stop", "How it is stopped.",
			key("signal", "Signal that asks it to stop.", enum("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH"), func(a *App, v string) { a.StopSignal = v }).or("SIGTERM"),
			key("grace", "How long it may take before it is killed.", duration(), func(a *App, v time.Duration) { a.StopGrace = v }).or("10s").alias("timeout")),
	}
}

// appSidecar is what the sidecar of an app does.
func appSidecar() []field[App] {
	health := object(table[Health]{
		fields: []field[Health]{
			key("path", "Path of the check.", route(), func(h *Health, v string) { h.Path = v }).or("/healthz"),
			key("interval", "Time between checks.", interval(), func(h *Health, v time.Duration) { h.Interval = v }).or("5s"),
			key("timeout", "How long one check may take.", interval(), func(h *Health, v time.Duration) { h.Timeout = v }).or("500ms"),
			key("threshold", "Failures in a row that make it unhealthy.", integer(1, unbounded), func(h *Health, v int) { h.Threshold = v }).or(int64(3)),
		},
	})
	return []field[App]{
		section("sidecar", "Ports of the first instance's sidecar; by default derived from mesh and app id, the same in every run.",
			key("http_port", "Port of the HTTP API.", portNumber(), func(a *App, v int) { a.HTTPPort = v }),
			key("grpc_port", "Port of the gRPC API.", portNumber(), func(a *App, v int) { a.GRPCPort = v })),
		key("health", "Dapr's app health check: an app that fails it gets no calls and no messages.", health, func(a *App, v Health) { a.Health = &v }),
		key("max_concurrency", "Calls that one instance works on at once; 0: no limit.", integer(0, unbounded), func(a *App, v int) { a.MaxConcurrency = v }).or(int64(0)).alias("app_max_concurrency", "concurrency"),
		key("max_body", `Largest request body that its sidecar accepts, such as "16MiB"; 0: no limit for invocations and streamed bindings, 4MiB over HTTP and 64MiB over gRPC for what building blocks hold whole.`, size(), func(a *App, v int64) { a.MaxBody = v }).or(int64(0)).alias("max_body_size"),
		key("header_limit", "Largest headers of a request that its sidecar accepts.", size(), func(a *App, v int64) { a.HeaderLimit = v }).or("1MiB").alias("read_buffer_size", "max_header"),
		key("balance", "How calls to it are spread over its instances.", enum("round-robin", "least-in-flight"), func(a *App, v string) { a.Balance = v }).or("round-robin"),
		key("app_token", `Token that the sidecar sends to the app as dapr-api-token, and that the app finds in APP_API_TOKEN; "auto" makes a new one for each run.`,
			text(), func(a *App, v string) { a.AppToken = v }).or("").alias("app_api_token"),
	}
}

// commandLine is a command in one of its two forms.
type commandLine struct {
	shell string
	argv  []string
}

func command() rule[commandLine] {
	argv := list(text())
	return rule[commandLine]{
		shape{"anyOf": []shape{shell().shape, {"type": "array", "items": text().shape, "minItems": 1}}},
		func(d *decoder, n node) (commandLine, bool) {
			if items, ok := elements(n.value); ok {
				v, ok := argv.read(d, n)
				if len(items) == 0 || ok && v[0] == "" {
					d.wrong(n.path, n.path+" names no program", "leave it out when someone else starts the app")
					return commandLine{}, false
				}
				return commandLine{argv: v}, ok
			}
			if s, ok := n.value.(string); ok {
				if strings.TrimSpace(s) == "" {
					d.wrong(n.path, n.path+" is empty", "leave it out when someone else starts the app")
					return commandLine{}, false
				}
				s, ok = shell().read(d, n)
				return commandLine{shell: s}, ok
			}
			d.mustBe(n, "text or a list of text", "")
			return commandLine{}, false
		},
	}
}

// portChoice is a port that is fixed, or picked.
type portChoice struct {
	fixed int
	auto  bool
}

func port() rule[portChoice] {
	s := shape{"anyOf": []shape{{"type": "integer", "minimum": 1, "maximum": 65535}, {"enum": []string{"auto"}}, varShape()}}
	return rule[portChoice]{s, func(d *decoder, n node) (portChoice, bool) {
		if s, ok := n.value.(string); ok {
			full := s
			if strings.Contains(s, "${") {
				if full, ok = d.expand(n.path, s); !ok {
					return portChoice{}, false
				}
			}
			if full == "auto" {
				return portChoice{auto: true}, true
			}
			if full == s && plainNumber(s) == "" {
				d.mustBe(n, `a number from 1 to 65535 or "auto"`, didYouMean(s, []string{"auto"}))
				return portChoice{}, false
			}
		}
		if n.value == int64(0) {
			d.wrong(n.path, n.path+" must be a number from 1 to 65535", `write port = "auto" to have a port picked, or leave it out for an app that does not listen`)
			return portChoice{}, false
		}
		v, ok := portNumber().read(d, n)
		return portChoice{fixed: v}, ok
	}}
}

// dependencies is a list of apps, or a table of apps and conditions.
func dependencies() rule[[]Dependency] {
	names, conditions := list(text()), dict(enum("started", "ready", "completed"), nil, nil)
	return rule[[]Dependency]{shape{"anyOf": []shape{names.shape, conditions.shape}}, func(d *decoder, n node) ([]Dependency, bool) {
		var deps []Dependency
		if _, ok := elements(n.value); ok {
			v, ok := names.read(d, n)
			for _, app := range v {
				deps = append(deps, Dependency{app, "ready"})
			}
			slices.SortFunc(deps, func(a, b Dependency) int { return strings.Compare(a.App, b.App) })
			return slices.Compact(deps), ok
		}
		if _, ok := n.value.(map[string]any); !ok {
			hint := ""
			if s, isText := n.value.(string); isText {
				hint = fmt.Sprintf("write [%q]", s)
			}
			d.mustBe(n, "a list or a table of apps", hint)
			return nil, false
		}
		v, ok := conditions.read(d, n)
		for _, app := range sortedKeys(v) {
			deps = append(deps, Dependency{app, v[app]})
		}
		return deps, ok
	}}
}

// variableName checks the name of a variable of the environment.
func variableName(name string) (msg, hint string) {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Sprintf("%q is no name for a variable", name), "a name must not be empty and must not hold ="
	}
	return "", ""
}

// probe is a check for readiness, or for life when ready is false.
func probe(every string, ready bool) rule[Probe] {
	kinds := []string{"http", "tcp", "grpc", "exec"}
	fields := []field[Probe]{
		key("http", "Path on the app's port, or a whole URL, that answers with 2xx or 3xx.", probeURL(), func(p *Probe, v string) { p.HTTP = v }).alias("http_get", "url", "path"),
		key("tcp", "The app's port accepts a connection.", where(boolean(), shape{"enum": []bool{true}}, func(v bool) (string, string) {
			if !v {
				return "cannot be false", "leave it out"
			}
			return "", ""
		}), func(p *Probe, v bool) { p.TCP = v }),
		key("grpc", "The gRPC health check answers SERVING: the name of a service, or true for the server.", service(), func(p *Probe, v string) { p.GRPC = v }),
		key("exec", "A line for the shell that exits with 0.", shell(), func(p *Probe, v string) { p.Exec = v }).alias("command", "cmd"),
		key("interval", "Time between checks.", interval(), func(p *Probe, v time.Duration) { p.Interval = v }).or(every).alias("period"),
		key("timeout", "How long one check may take.", interval(), func(p *Probe, v time.Duration) { p.Timeout = v }).or("1s"),
	}
	if ready {
		kinds = append(kinds, "log")
		fields = append(fields, key("log", "A regular expression that a line of the output matches.", expression(), func(p *Probe, v string) { p.Log = v }))
	} else {
		fields = append(fields, key("threshold", "Failures in a row that make it fail.", integer(1, unbounded), func(p *Probe, v int) { p.Threshold = v }).or(int64(3)))
	}
	return object(table[Probe]{
		fields: fields,
		check: func(d *decoder, n node, p *Probe) {
			given, _ := n.value.(map[string]any) // fill has checked that it is a table
			var chosen []string
			for _, kind := range kinds {
				if given[kind] != nil {
					chosen = append(chosen, kind)
				}
			}
			switch {
			case len(chosen) > 1:
				d.wrong(n.path, fmt.Sprintf("%s has %s: one check is enough", n.path, strings.Join(chosen, " and ")), "keep one of them")
			case len(chosen) == 0 && !d.tainted[n.path]:
				p.TCP = true
			}
		},
	})
}

// probeURL is a path or a URL.
func probeURL() rule[string] {
	return where(filled(), nil, func(s string) (string, string) {
		if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
			return "", ""
		}
		return fmt.Sprintf("must be a path or a URL, not %q", s), fmt.Sprintf("write %q", "/"+s)
	})
}

// service is the name of a gRPC service, or true for the whole server.
func service() rule[string] {
	return rule[string]{shape{"anyOf": []shape{{"type": "string"}, {"enum": []bool{true}}}}, func(d *decoder, n node) (string, bool) {
		if n.value == true {
			return "*", true
		}
		s, ok := text().read(d, n)
		if s == "" {
			s = "*"
		}
		return s, ok
	}}
}
