package export

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mesh/supervisor/config"
)

// daprd is the image of the sidecars.
const daprd = "daprio/daprd:1.18.0"

type composition struct {
	Name     string              `yaml:"name"`
	Services map[string]composed `yaml:"services"`
}

type composed struct {
	Image       string               `yaml:"image,omitempty"`
	Build       string               `yaml:"build,omitempty"`
	Command     []string             `yaml:"command,omitempty"`
	NetworkMode string               `yaml:"network_mode,omitempty"`
	EnvFiles    []string             `yaml:"env_file,omitempty"`
	Env         map[string]string    `yaml:"environment,omitempty"`
	Ports       []string             `yaml:"ports,omitempty"`
	Volumes     []string             `yaml:"volumes,omitempty"`
	DependsOn   map[string]condition `yaml:"depends_on,omitempty"`
	Restart     string               `yaml:"restart,omitempty"`
	Healthcheck *healthcheck         `yaml:"healthcheck,omitempty"`
	StopSignal  string               `yaml:"stop_signal,omitempty"`
	StopGrace   string               `yaml:"stop_grace_period,omitempty"`
	TTY         bool                 `yaml:"tty,omitempty"`
}

type condition struct {
	Condition string `yaml:"condition"`
}

type healthcheck struct {
	Test     []string `yaml:"test"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
}

// composeLost says why keys of an app have no counterpart in a compose file.
func composeLost() map[string]string {
	return map[string]string{
		"build":              "images are built by compose",
		"watch":              "containers are not restarted when files are saved",
		"ignore":             "containers are not restarted when files are saved",
		"live":               "containers are not restarted for their health",
		"success_exit_codes": "only 0 is success",
		"hold":               "calls to an app that is away fail",
		"balance":            "it is round-robin",
	}
}

// Compose makes a compose file in which each app has a daprd in its network.
func Compose(o Options) (*Result, error) {
	x, err := start(o)
	if err != nil {
		return nil, err
	}
	if err := x.resources("resources", "redis:6379"); err != nil {
		return nil, err
	}
	x.lost(composeLost())
	x.private("in-memory", "sqlite", "localstorage")
	file := composition{Name: label(x.Mesh.Name), Services: map[string]composed{}}
	if file.Name == "" {
		file.Name = "mesh"
	}
	if len(x.standIns("redis:6379")) > 0 && x.Mesh.Find("redis") == nil {
		file.Services["redis"] = composed{Image: "redis:7"}
		x.r.Next = slices.DeleteFunc(x.r.Next, func(s string) bool { return strings.Contains(s, "is Redis at") })
	}
	mounts := []string{}
	for i, dir := range x.folders() {
		mounts = append(mounts, fmt.Sprintf("%s:/resources/%d:ro", x.local(dir), i))
	}
	if len(x.r.Files) > 0 {
		mounts = append(mounts, "./resources:/resources/mesh:ro")
	}
	ports := x.ports()
	for i := range x.Mesh.Apps {
		a := &x.Mesh.Apps[i]
		if a.External() {
			x.note("apps."+a.ID, "%s has no command, so that nothing is made for it", a.ID)
			continue
		}
		file.Services[a.ID] = x.composed(a, ports[a.ID])
		file.Services[a.ID+"-dapr"] = x.daprd(a, ports[a.ID], mounts, file.Services)
	}
	if err := x.file("compose.yaml", file); err != nil {
		return nil, err
	}
	x.next("see that each image starts its app: the commands of mesh.toml are for this machine")
	x.next("docker compose -f %s up", filepath.Join(x.Shown, "compose.yaml"))
	return x.done(), nil
}

// composed is the service of an app.
func (x *exporter) composed(a *config.App, port int) composed {
	c := composed{
		Env:        map[string]string{"APP_ID": a.ID, "DAPR_HTTP_PORT": strconv.Itoa(httpPort(a)), "DAPR_GRPC_PORT": strconv.Itoa(grpcPortOf(a))},
		Restart:    map[string]string{"always": "always", "on-failure": "on-failure", "never": "no"}[a.Restart],
		StopSignal: a.StopSignal, StopGrace: a.StopGrace.String(), TTY: a.PTY,
	}
	if _, err := os.Stat(filepath.Join(a.Dir, "Dockerfile")); err == nil {
		c.Build = x.local(a.Dir)
	} else {
		c.Image = x.image(a.ID)
		x.next("%s has no Dockerfile: make one, or see that there is an image %s", a.ID, c.Image)
	}
	if port > 0 {
		c.Env["APP_PORT"] = strconv.Itoa(port)
	}
	for name, value := range a.Env {
		c.Env[name] = strings.ReplaceAll(value, "$", "$$")
	}
	x.tokens(a, c.Env)
	for _, f := range slices.Concat(x.Mesh.EnvFiles, a.EnvFiles) {
		if _, err := os.Stat(f); err == nil {
			c.EnvFiles = append(c.EnvFiles, x.local(f))
		}
	}
	for _, p := range []int{a.Port, a.HTTPPort, a.GRPCPort} {
		if p > 0 {
			c.Ports = append(c.Ports, fmt.Sprintf("127.0.0.1:%d:%d", p, p))
		}
	}
	if a.Instances != 1 {
		x.note("apps."+a.ID+".instances", "instances of %s has no counterpart: a daprd shares the network of one container", a.ID)
	}
	if a.Ready != nil && a.Ready.Exec != "" {
		c.Healthcheck = &healthcheck{
			Test:     []string{"CMD-SHELL", strings.ReplaceAll(a.Ready.Exec, "$", "$$")},
			Interval: a.Ready.Interval.String(), Timeout: a.Ready.Timeout.String(),
		}
	} else if a.Ready != nil {
		x.note("apps."+a.ID+".ready", "ready of %s has no counterpart: containers are checked by commands of their image", a.ID)
	}
	for _, d := range a.DependsOn {
		x.depend(&c, a, d)
	}
	return c
}

// tokens hands the tokens over from the environment of compose: a file that is
// shared is no place for them.
func (x *exporter) tokens(a *config.App, env map[string]string) {
	set := func(name, token string) {
		if token != "" {
			env[name] = "${" + name + "}"
			x.next("set %s before `docker compose`", name)
		}
	}
	set("DAPR_API_TOKEN", x.Mesh.APIToken)
	set("APP_API_TOKEN", a.AppToken)
}

// depend makes the service of an app wait for that of another.
func (x *exporter) depend(c *composed, a *config.App, d config.Dependency) {
	other := x.Mesh.Find(d.App)
	key := "apps." + a.ID + ".depends_on"
	if other.External() {
		x.note(key, "%s does not wait for %s, which is no container", a.ID, d.App)
		return
	}
	words := map[string]string{"started": "service_started", "ready": "service_healthy", "completed": "service_completed_successfully"}
	if d.Condition == "ready" && (other.Ready == nil || other.Ready.Exec == "") {
		x.note(key, "%s waits until %s has started, not until it is ready: its container has no health check", a.ID, d.App)
		d.Condition = "started"
	}
	put(&c.DependsOn, d.App, condition{words[d.Condition]})
}

// daprd is the sidecar of an app.
func (x *exporter) daprd(a *config.App, port int, mounts []string, services map[string]composed) composed {
	command := []string{
		"./daprd", "--app-id", a.ID,
		"--dapr-http-port", strconv.Itoa(httpPort(a)), "--dapr-grpc-port", strconv.Itoa(grpcPortOf(a)),
		"--dapr-listen-addresses", "0.0.0.0",
	}
	flag := func(name, value string) { command = append(command, "--"+name, value) }
	if port > 0 {
		flag("app-port", strconv.Itoa(port))
		flag("app-protocol", a.Protocol)
	}
	for _, m := range mounts {
		flag("resources-path", strings.Split(m, ":")[1])
	}
	if a.MaxConcurrency > 0 {
		flag("app-max-concurrency", strconv.Itoa(a.MaxConcurrency))
	}
	if a.MaxBody > 0 {
		flag("max-body-size", quantity(a.MaxBody))
	}
	if x.said("apps." + a.ID + ".header_limit") {
		flag("read-buffer-size", quantity(a.HeaderLimit))
	}
	if h := a.Health; h != nil {
		command = append(command, "--enable-app-health-check")
		flag("app-health-check-path", h.Path)
		flag("app-health-probe-interval", strconv.Itoa(seconds(h.Interval)))
		flag("app-health-probe-timeout", strconv.Itoa(milliseconds(h.Timeout)))
		flag("app-health-threshold", strconv.Itoa(h.Threshold))
	}
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "$", "$$")
	}
	c := composed{
		Image: daprd, Command: command, Env: map[string]string{}, NetworkMode: "service:" + a.ID, Volumes: mounts, Restart: "on-failure",
		DependsOn: map[string]condition{a.ID: {"service_started"}},
	}
	x.tokens(a, c.Env)
	if _, ok := services["redis"]; ok && x.Mesh.Find("redis") == nil {
		c.DependsOn["redis"] = condition{"service_started"}
	}
	return c
}

func httpPort(a *config.App) int {
	if a.HTTPPort > 0 {
		return a.HTTPPort
	}
	return 3500
}

func grpcPortOf(a *config.App) int {
	if a.GRPCPort > 0 {
		return a.GRPCPort
	}
	return 50001
}

// Formats are the exports by their names.
func Formats() map[string]func(Options) (*Result, error) {
	return map[string]func(Options) (*Result, error){"dapr": Dapr, "kubernetes": Kubernetes, "compose": Compose}
}
