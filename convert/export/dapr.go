package export

import (
	"os"
	"path/filepath"
	"time"

	"mesh/supervisor/config"
)

type runFile struct {
	Version int     `yaml:"version"`
	Name    string  `yaml:"name"`
	Common  *common `yaml:"common,omitempty"`
	Apps    []run   `yaml:"apps"`
}

type common struct {
	Resources []string `yaml:"resourcesPaths"`
}

type run struct {
	ID             string            `yaml:"appID"`
	Dir            string            `yaml:"appDirPath"`
	Port           int               `yaml:"appPort,omitempty"`
	Protocol       string            `yaml:"appProtocol,omitempty"`
	HTTPPort       int               `yaml:"daprHTTPPort,omitempty"`
	GRPCPort       int               `yaml:"daprGRPCPort,omitempty"`
	MaxConcurrency int               `yaml:"appMaxConcurrency,omitempty"`
	MaxBody        string            `yaml:"maxBodySize,omitempty"`
	HeaderLimit    string            `yaml:"readBufferSize,omitempty"`
	Health         bool              `yaml:"enableAppHealthCheck,omitempty"`
	HealthPath     string            `yaml:"appHealthCheckPath,omitempty"`
	HealthInterval int               `yaml:"appHealthProbeInterval,omitempty"` // seconds
	HealthTimeout  int               `yaml:"appHealthProbeTimeout,omitempty"`  // milliseconds
	HealthFailures int               `yaml:"appHealthThreshold,omitempty"`
	Resources      []string          `yaml:"resourcesPaths,omitempty"`
	Command        []string          `yaml:"command,omitempty"`
	Env            map[string]string `yaml:"env,omitempty"`
}

// daprLost says why keys of an app have no counterpart in a dapr.yaml.
func daprLost() map[string]string {
	return map[string]string{
		"build":              "nothing is built",
		"watch":              "apps are not restarted when files are saved",
		"ignore":             "apps are not restarted when files are saved",
		"ready":              "apps are started one after the other without a check",
		"live":               "apps are not restarted",
		"restart":            "apps are not restarted",
		"success_exit_codes": "apps are not restarted",
		"hold":               "calls to an app that is away fail",
		"stop":               "apps are stopped with SIGTERM",
		"pty":                "apps have no terminal",
		"balance":            "it is round-robin",
		"env_file":           "set its variables before `dapr run`",
		"app_token":          "set APP_API_TOKEN before `dapr run`",
		"depends_on":         "apps are started in the order of the file, which respects it",
	}
}

// Dapr makes a dapr.yaml and the resources of mesh.toml beside it, for
// `dapr run -f`.
func Dapr(o Options) (*Result, error) {
	x, err := start(o)
	if err != nil {
		return nil, err
	}
	if err := x.resources("resources", "localhost:6379"); err != nil {
		return nil, err
	}
	x.lost(daprLost())
	x.private("in-memory")
	var folders []string
	for _, dir := range x.folders() {
		folders = append(folders, x.local(dir))
	}
	if len(x.r.Files) > 0 {
		folders = append(folders, "./resources")
	}
	file := runFile{Version: 1, Name: x.Mesh.Name}
	if len(folders) > 0 {
		file.Common = &common{folders}
	}
	ports := x.ports()
	for _, a := range x.ordered() {
		r := x.run(a, ports[a.ID])
		// Dapr prefers this folder to those of common.
		if _, err := os.Stat(filepath.Join(a.Dir, ".dapr", "resources")); err == nil {
			for _, dir := range x.folders() {
				r.Resources = append(r.Resources, x.fromApp(a, dir))
			}
			if len(x.r.Files) > 0 {
				r.Resources = append(r.Resources, x.fromApp(a, filepath.Join(x.Out, "resources")))
			}
		}
		file.Apps = append(file.Apps, r)
	}
	if x.Mesh.APIToken != "" {
		x.next("set DAPR_API_TOKEN before `dapr run`: a dapr.yaml has no token")
	}
	if len(x.Mesh.EnvFiles) > 0 && len(x.Mesh.Env) > 0 {
		x.next("set the variables of the env files before `dapr run`: a dapr.yaml has no env files")
	}
	if err := x.file("dapr.yaml", file); err != nil {
		return nil, err
	}
	x.next("dapr run -f %s", filepath.Join(x.Shown, "dapr.yaml"))
	return x.done(), nil
}

// fromApp gives a path relative to the folder of an app, as its paths are.
func (x *exporter) fromApp(a *config.App, path string) string {
	rel, err := filepath.Rel(a.Dir, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

func (x *exporter) run(a *config.App, port int) run {
	r := run{
		ID: a.ID, Dir: x.local(a.Dir), Port: port,
		HTTPPort: a.HTTPPort, GRPCPort: a.GRPCPort, MaxConcurrency: a.MaxConcurrency,
		Command: a.Argv, Env: a.Env,
	}
	if a.Shell != "" {
		r.Command = []string{"sh", "-c", a.Shell}
	}
	if a.Protocol != "http" {
		r.Protocol = a.Protocol
	}
	if a.MaxBody > 0 {
		r.MaxBody = quantity(a.MaxBody)
	}
	if x.said("apps." + a.ID + ".header_limit") {
		r.HeaderLimit = quantity(a.HeaderLimit)
	}
	if h := a.Health; h != nil {
		r.Health, r.HealthPath, r.HealthFailures = true, h.Path, h.Threshold
		r.HealthInterval, r.HealthTimeout = seconds(h.Interval), milliseconds(h.Timeout)
	}
	if a.Instances != 1 && !a.External() {
		x.note("apps."+a.ID+".instances", "instances of %s has no counterpart: Dapr starts one", a.ID)
	}
	if a.External() {
		x.note("apps."+a.ID, "%s has no command: Dapr starts its sidecar only, as mesh does", a.ID)
	}
	return r
}

// milliseconds gives a time in whole milliseconds, at least one.
func milliseconds(d time.Duration) int { return max(1, int((d + time.Millisecond - 1).Milliseconds())) }
