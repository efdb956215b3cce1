package cli

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mesh/standalone"
)

// sidecarFlags is what the flags of `mesh sidecar` say.
type sidecarFlags struct {
	appID, appHost, protocol                string
	appPort, http, grpc                     port
	internal, metrics, public               port
	listen, internalListen                  string
	metricsListen, publicListen             string
	socketDir                               string
	configs, resources, initOff             []string
	mode, mdns                              string
	maxConcurrency                          int
	maxBody, headerLimit                    byteSize
	balance                                 string
	withMetrics, mtls, ssl                  bool
	health                                  bool
	healthPath                              string
	healthInterval, healthTimeout, healthTh int
	grace                                   int
	block                                   time.Duration
	logLevel, logFile                       string
	logJSON                                 bool
	version, buildInfo, wait                bool
	profiling, logCalls                     bool
	profile                                 port
	profileListen, origins                  string
}

// port is a flag with a port; scripts also give it empty, and Dapr's command line
// -1 for one that it does not care about.
type port int

func (p *port) String() string { return strconv.Itoa(int(*p)) }

func (p *port) Type() string { return "port" }

// Set implements pflag.Value.
func (p *port) Set(s string) error {
	if s == "" || s == "-1" {
		*p = 0
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return errors.New("a port is a number from 0 to 65535")
	}
	*p = port(n)
	return nil
}

func (f *sidecarFlags) add(fs *pflag.FlagSet) {
	f.http, f.grpc, f.metrics, f.profile = 3500, 50001, 9090, 7777
	fs.StringVar(&f.appID, "app-id", "", "app id, by which others call the app")
	fs.Var(&f.appPort, "app-port", "port of the app; without it nobody can call it")
	fs.StringVar(&f.appHost, "app-channel-address", "127.0.0.1", "address of the app")
	fs.StringVar(&f.protocol, "app-protocol", "http", "what the app speaks: http, https, h2c, grpc or grpcs")
	fs.IntVar(&f.maxConcurrency, "app-max-concurrency", -1, "calls that the app gets at a time; -1: any number")
	for _, name := range []string{"max-body-size", "http-max-request-size", "dapr-http-max-request-size"} {
		fs.Var(f.maxBody.flag(name), name, `largest body of a request, such as 4Mi; 0: no limit (default 0)`)
	}
	for _, name := range []string{"read-buffer-size", "dapr-http-read-buffer-size", "http-read-buffer-size"} {
		fs.Var(f.headerLimit.flag(name), name, `largest headers of a request, such as 64Ki (default 1Mi)`)
	}
	for _, name := range []string{"http-max-request-size", "dapr-http-max-request-size", "dapr-http-read-buffer-size", "http-read-buffer-size"} {
		_ = fs.MarkHidden(name) // it exists
	}
	fs.StringVar(&f.balance, "balance", "round-robin", "how calls to an app are spread over its instances: round-robin or least-in-flight")
	fs.Var(&f.http, "dapr-http-port", "port of the HTTP API")
	fs.Var(&f.grpc, "dapr-grpc-port", "port of the gRPC API")
	fs.Var(&f.internal, "dapr-internal-grpc-port", "port for other sidecars (default: one derived from app id and folder, so that it stays when it is started again there)")
	fs.StringVar(&f.listen, "dapr-listen-addresses", "", "addresses of both APIs, separated by commas (default 127.0.0.1)")
	fs.StringVar(&f.internalListen, "dapr-internal-grpc-listen-address", "", "address for other sidecars (default: as --mdns-interface needs)")
	fs.Var(&f.public, "dapr-public-port", "port that tells only health and metadata, without a token")
	fs.StringVar(&f.publicListen, "dapr-public-listen-address", "", "address of the public port")
	fs.BoolVar(&f.withMetrics, "enable-metrics", true, "serve metrics for Prometheus")
	fs.Var(&f.metrics, "metrics-port", "port of the metrics")
	fs.StringVar(&f.metricsListen, "metrics-listen-address", "", "address of the metrics (default 127.0.0.1)")
	fs.StringVar(&f.socketDir, "unix-domain-socket", "", "folder for Unix sockets, which the APIs then use instead of ports")
	fs.StringArrayVar(&f.configs, "config", nil, "file with Dapr's Configuration; may be repeated")
	fs.StringArrayVar(&f.resources, "resources-path", nil, "folder with Dapr's resources; may be repeated")
	fs.StringArrayVar(&f.resources, "components-path", nil, "the same, as it was called before")
	fs.StringVar(&f.mdns, "mdns-interface", "", `where the sidecar is announced: "loopback", the name of an interface, or "all" (default loopback)`)
	fs.BoolVar(&f.health, "enable-app-health-check", false, "give the app calls only while it is healthy")
	fs.StringVar(&f.healthPath, "app-health-check-path", "/healthz", "path that the app answers with 2xx while it is healthy")
	fs.IntVar(&f.healthInterval, "app-health-probe-interval", 5, "seconds between two checks")
	fs.IntVar(&f.healthTimeout, "app-health-probe-timeout", 500, "milliseconds that a check may take")
	fs.IntVar(&f.healthTh, "app-health-threshold", 3, "failed checks in a row after which the app is unhealthy")
	fs.StringSliceVar(&f.initOff, "disable-init-endpoints", nil, "what the app is not asked for when it starts: config, subscribe")
	fs.IntVar(&f.grace, "dapr-graceful-shutdown-seconds", 5, "seconds that calls may go on when the sidecar stops")
	fs.DurationVar(&f.block, "dapr-block-shutdown-duration", 0, "how long the sidecar goes on after it is told to stop")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn, error or fatal")
	fs.BoolVar(&f.logJSON, "log-as-json", false, "write the log as JSON")
	fs.StringVar(&f.logFile, "log-file", "", "write the log there instead of stdout")
	fs.BoolVar(&f.logCalls, "enable-api-logging", false, "write a line to the log for every call of the APIs")
	fs.StringVar(&f.origins, "allowed-origins", "", "whose scripts may use the HTTP API from a browser, separated by commas; * for all")
	fs.BoolVar(&f.profiling, "enable-profiling", false, "serve profiles of the process at /debug/pprof")
	fs.Var(&f.profile, "profile-port", "port of the profiles")
	fs.StringVar(&f.profileListen, "profile-listen-address", "", "address of the profiles (default 127.0.0.1)")
	fs.StringVar(&f.mode, "mode", "standalone", "only standalone")
	fs.BoolVar(&f.mtls, "enable-mtls", false, "only false")
	fs.BoolVar(&f.ssl, "app-ssl", false, "the same as --app-protocol https or grpcs")
	fs.BoolVar(&f.version, "version", false, "print the version of the runtime")
	fs.BoolVar(&f.buildInfo, "build-info", false, "print what this program was built from")
	fs.BoolVar(&f.wait, "wait", false, "wait until the sidecar at --dapr-http-port may be used, and end")
	for name := range idleFlags() {
		fs.Var(&idle{}, name, "accepted, without effect")
		fs.Lookup(name).NoOptDefVal = "true"
		_ = fs.MarkHidden(name) // it exists
	}
	for name, takesValue := range idleFlags() {
		if takesValue {
			fs.Lookup(name).NoOptDefVal = ""
		}
	}
}

// idle is a flag of daprd that has no effect here.
type idle struct{ value string }

func (i *idle) String() string     { return i.value }
func (i *idle) Type() string       { return "string" }
func (i *idle) Set(s string) error { i.value = s; return nil }

// idleFlags are the flags of daprd that have no effect here, and whether they
// need a value.
func idleFlags() map[string]bool {
	return map[string]bool{
		"placement-host-address": true, "scheduler-host-address": true, "scheduler-job-streams": true, "sentry-address": true,
		"control-plane-address": true, "control-plane-trust-domain": true, "control-plane-namespace": true,
		"sentry-request-jwt-audiences": true, "actors-service": true, "reminders-service": true, "actors-disseminate-timeout": true,
		"disable-builtin-k8s-secret-store": false, "hot-reload-reconcile-interval": true, "app-binding-options-timeout": true,
	}
}

// notes says which of the given flags have no effect.
func (f *sidecarFlags) notes(given func(string) bool) []string {
	why := map[string]string{
		"hot-reload-reconcile-interval": "send a hangup to have the configuration read anew",
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(idleFlags())) {
		if !given(name) {
			continue
		}
		note := "--" + name + " has no effect here"
		if why[name] != "" {
			note += ": " + why[name]
		}
		all = append(all, note)
	}
	return all
}

// options turns flags and environment into what the sidecar is. strict is how
// daprd itself would have it.
func (f *sidecarFlags) options(e Env, given func(string) bool, strict bool) (standalone.Options, error) {
	var o standalone.Options
	switch {
	case f.appID == "":
		return o, usage(&hinted{errors.New("a sidecar needs --app-id"), "mesh sidecar --app-id orders --app-port 8080"})
	case strings.Contains(f.appID, "."):
		return o, usage(fmt.Errorf("the app id %q has a dot, which begins a namespace", f.appID))
	case f.mode != "standalone":
		return o, usage(fmt.Errorf("--mode is %q: only standalone is possible", f.mode))
	case f.balance != "round-robin" && f.balance != "least-in-flight":
		return o, usage(fmt.Errorf("--balance is %q: use round-robin or least-in-flight", f.balance))
	case f.mtls:
		return o, usage(errors.New("--enable-mtls: sidecars talk in plain text here, so this would not be what it says"))
	}
	if f.ssl {
		f.protocol = map[string]string{"http": "https", "grpc": "grpcs"}[f.protocol]
	}
	if f.mdns == "" {
		f.mdns = "loopback"
		if strict {
			f.mdns = "all"
		}
	}
	if f.listen == "" && !strict {
		f.listen = "127.0.0.1"
	}
	if f.metricsListen == "" && !strict {
		f.metricsListen = "127.0.0.1"
	}
	if f.profileListen == "" && !strict {
		f.profileListen = "127.0.0.1"
	}
	if f.internalListen == "" && f.mdns == "loopback" {
		f.internalListen = "127.0.0.1"
	}
	if !strict { // several sidecars need nothing but their app ids
		f.http = orFree(f.http, f.listen, given("dapr-http-port"))
		f.grpc = orFree(f.grpc, f.listen, given("dapr-grpc-port"))
		f.metrics = orFree(f.metrics, f.metricsListen, given("metrics-port"))
		if f.profiling {
			f.profile = orFree(f.profile, f.profileListen, given("profile-port"))
		}
	}
	if f.internal == 0 {
		f.internal = orFree(derivedPort(f.appID, e.Dir), f.internalListen, false)
	}
	o = standalone.Options{
		AppID: f.appID, Namespace: e.getenv("NAMESPACE"),
		HTTP: at(f.http, f.listen), GRPC: at(f.grpc, f.listen), Internal: at(f.internal, f.internalListen),
		AppHost: f.appHost, AppPort: int(f.appPort), Protocol: f.protocol, MaxConcurrency: max(0, f.maxConcurrency),
		MaxBody: f.maxBody.bytes, HeaderLimit: f.headerLimit.bytes, Balance: f.balance,
		Host: e.getenv("DAPR_HOST_IP"), Interface: f.mdns, Environ: e.getenv,
		Token: e.getenv("DAPR_API_TOKEN"), AppToken: e.getenv("APP_API_TOKEN"),
		Grace: time.Duration(f.grace) * time.Second, Block: f.block, Version: runtimeVersion(),
	}
	if f.socketDir != "" {
		socket := func(api string) string {
			return "unix:" + filepath.Join(e.path(f.socketDir), "dapr-"+f.appID+"-"+api+".socket")
		}
		o.HTTP, o.GRPC = socket("http"), socket("grpc")
	}
	o.LogCalls, o.ProfilePort = f.logCalls, int(f.profile)
	for origin := range strings.SplitSeq(f.origins, ",") {
		if origin = strings.TrimSpace(origin); origin != "" {
			o.Origins = append(o.Origins, origin)
		}
	}
	if f.profiling {
		o.Profile = at(f.profile, f.profileListen)
	}
	if f.withMetrics {
		o.Metrics = at(f.metrics, f.metricsListen)
	}
	if f.public > 0 {
		o.Public = at(f.public, f.publicListen)
	}
	for _, file := range f.configs {
		o.Configs = append(o.Configs, e.path(file))
	}
	o.Dir = e.Dir
	for _, dir := range f.resources {
		o.Resources = append(o.Resources, e.path(dir))
	}
	for _, what := range f.initOff {
		switch what {
		case "config":
			o.NoConfig = true
		case "subscribe":
			o.NoSubscribe = true
		case "":
		default:
			return o, usage(fmt.Errorf("--disable-init-endpoints is %q: use config or subscribe", what))
		}
	}
	if f.health {
		o.Health = &standalone.Health{Path: "/" + strings.TrimPrefix(f.healthPath, "/"), Interval: time.Duration(f.healthInterval) * time.Second, Timeout: time.Duration(f.healthTimeout) * time.Millisecond, Threshold: f.healthTh}
		h := o.Health
		if h.Interval <= 0 {
			h.Interval = 5 * time.Second
		}
		if h.Timeout <= 0 {
			h.Timeout = 500 * time.Millisecond
		}
		if h.Threshold <= 0 {
			h.Threshold = 3
		}
	}
	return o, nil
}

// at gives host:port for each of the addresses.
func at(p port, addresses string) string {
	var all []string
	for a := range strings.SplitSeq(addresses, ",") {
		all = append(all, net.JoinHostPort(strings.Trim(strings.TrimSpace(a), "[]"), strconv.Itoa(int(p))))
	}
	return strings.Join(all, ",")
}

// orFree gives 0, a free port, where the port is taken and nobody insists on it.
func orFree(p port, addresses string, insist bool) port {
	if insist {
		return p
	}
	for addr := range strings.SplitSeq(at(p, addresses), ",") {
		l, err := net.Listen("tcp", addr) //nolint:noctx // binding a port does not block
		if err != nil {
			return 0
		}
		_ = l.Close()
	}
	return p
}

// derivedPort is where the sidecar of an app in a folder listens for others: the
// same after a restart, since others keep it in mind for a while.
func derivedPort(appID, dir string) port {
	h := fnv.New32a()
	_, _ = h.Write([]byte(appID + "\x00" + dir))
	return port(20000 + h.Sum32()%12000)
}
