package export

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mesh/supervisor/config"
)

type workload struct {
	Replicas *int         `yaml:"replicas,omitempty"` // of a Deployment
	Backoff  *int         `yaml:"backoffLimit,omitempty"`
	Selector *selector    `yaml:"selector,omitempty"`
	Template podSpecOwner `yaml:"template"`
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type podSpecOwner struct {
	Metadata podMetadata `yaml:"metadata"`
	Spec     pod         `yaml:"spec"`
}

type podMetadata struct {
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type pod struct {
	Grace      int         `yaml:"terminationGracePeriodSeconds"`
	Restart    string      `yaml:"restartPolicy,omitempty"`
	Containers []container `yaml:"containers"`
}

type container struct {
	Name      string          `yaml:"name"`
	Image     string          `yaml:"image"`
	Ports     []containerPort `yaml:"ports,omitempty"`
	Env       []variable      `yaml:"env,omitempty"`
	TTY       bool            `yaml:"tty,omitempty"`
	Readiness *probe          `yaml:"readinessProbe,omitempty"`
	Liveness  *probe          `yaml:"livenessProbe,omitempty"`
}

type containerPort struct {
	Port int `yaml:"containerPort"`
}

type variable struct {
	Name  string    `yaml:"name"`
	Value *string   `yaml:"value,omitempty"`
	From  *valueRef `yaml:"valueFrom,omitempty"`
}

type valueRef struct {
	Secret secretRef `yaml:"secretKeyRef"`
}

type probe struct {
	HTTP     *httpGet   `yaml:"httpGet,omitempty"`
	TCP      *portOnly  `yaml:"tcpSocket,omitempty"`
	GRPC     *grpcPort  `yaml:"grpc,omitempty"`
	Exec     *execProbe `yaml:"exec,omitempty"`
	Period   int        `yaml:"periodSeconds"`
	Timeout  int        `yaml:"timeoutSeconds"`
	Failures int        `yaml:"failureThreshold,omitempty"`
}

type httpGet struct {
	Path   string `yaml:"path"`
	Port   int    `yaml:"port"`
	Scheme string `yaml:"scheme,omitempty"`
}

type portOnly struct {
	Port int `yaml:"port"`
}

type grpcPort struct {
	Port    int    `yaml:"port"`
	Service string `yaml:"service,omitempty"`
}

type execProbe struct {
	Command []string `yaml:"command"`
}

type service struct {
	Selector map[string]string `yaml:"selector"`
	Ports    []servicePort     `yaml:"ports"`
}

type servicePort struct {
	Port   int `yaml:"port"`
	Target int `yaml:"targetPort"`
}

// Secrets that the manifests expect, each with the key token.
const (
	apiTokenSecret = "dapr-api-token" //nolint:gosec // a name
	appTokenSecret = "app-api-token"  //nolint:gosec // a name
)

// kubernetesLost says why keys of an app have no counterpart in Kubernetes.
func kubernetesLost() map[string]string {
	return map[string]string{
		"build":              "images are built elsewhere",
		"watch":              "pods are not restarted when files are saved",
		"ignore":             "pods are not restarted when files are saved",
		"env_file":           "make a Secret or ConfigMap of it and name it below envFrom",
		"depends_on":         "pods start in any order and try again",
		"success_exit_codes": "only 0 is success",
		"hold":               "calls to an app that is away fail",
		"balance":            "it is round-robin",
		"sidecar":            "each pod has the standard ports 3500 and 50001",
	}
}

// Kubernetes makes manifests for a cluster that runs Dapr: a Deployment and a
// Service for each app, a Job for one that runs once, and the resources.
func Kubernetes(o Options) (*Result, error) {
	x, err := start(o)
	if err != nil {
		return nil, err
	}
	if err := x.names(); err != nil {
		return nil, err
	}
	if err := x.resources("", "redis:6379"); err != nil {
		return nil, err
	}
	if err := x.copies(); err != nil {
		return nil, err
	}
	x.private("in-memory", "sqlite", "local.env", "local.file", "localstorage")
	x.lost(kubernetesLost())
	ports := x.ports()
	for i := range x.Mesh.Apps {
		a := &x.Mesh.Apps[i]
		if a.External() {
			x.note("apps."+a.ID, "%s has no command, so that nothing is made for it", a.ID)
			continue
		}
		if err := x.app(a, ports[a.ID]); err != nil {
			return nil, err
		}
	}
	if x.Mesh.APIToken != "" {
		x.next("kubectl create secret generic %s --from-literal=token=…", apiTokenSecret)
	}
	if x.Image == "{app}:latest" {
		x.next("build an image of each app; --image names them, such as --image registry.example.com/shop/{app}:1.0")
	}
	x.next("see that each image starts its app: the commands of mesh.toml are for this machine")
	x.next("dapr init -k, then kubectl apply -f %s", x.Shown)
	return x.done(), nil
}

// names refuses what Kubernetes cannot name, since an app under another name
// would not be found by those that call it.
func (x *exporter) names() error {
	var bad config.Errors
	check := func(kind, key, name, likely string) {
		if likely != name {
			bad = append(bad, &config.Error{
				Place: x.Mesh.Places[key], Key: key,
				Msg:  fmt.Sprintf("Kubernetes cannot have %s named %s: it takes small letters, digits and -", kind, name),
				Hint: "rename it to " + likely,
			})
		}
	}
	for i := range x.Mesh.Apps {
		id := x.Mesh.Apps[i].ID
		check("an app", key("apps", id), id, label(id))
	}
	for i := range x.Mesh.Components {
		name := x.Mesh.Components[i].Name
		check("a component", key("components", name), name, strings.Trim(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "-."))
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// app adds the file of an app.
func (x *exporter) app(a *config.App, port int) error {
	labels := map[string]string{"app": a.ID}
	c := container{Name: a.ID, Image: x.image(a.ID), TTY: a.PTY}
	if port > 0 {
		c.Ports = []containerPort{{port}}
		c.Env = append(c.Env, variable{Name: "APP_PORT", Value: new(strconv.Itoa(port))})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		if name != "APP_PORT" {
			c.Env = append(c.Env, variable{Name: name, Value: new(strings.ReplaceAll(a.Env[name], "$(", "$$("))})
		}
	}
	annotations := x.annotations(a, port)
	if x.Mesh.APIToken != "" {
		c.Env = append(c.Env, variable{Name: "DAPR_API_TOKEN", From: &valueRef{secretRef{apiTokenSecret, "token"}}})
		annotations["dapr.io/api-token-secret"] = apiTokenSecret
	}
	if a.AppToken != "" {
		c.Env = append(c.Env, variable{Name: "APP_API_TOKEN", From: &valueRef{secretRef{appTokenSecret, "token"}}})
		annotations["dapr.io/app-token-secret"] = appTokenSecret
		x.next("kubectl create secret generic %s --from-literal=token=…", appTokenSecret)
	}
	c.Readiness = x.probe(a, "ready", a.Ready, port)
	if a.Ready == nil && port > 0 {
		c.Readiness = &probe{TCP: &portOnly{port}, Period: 1, Timeout: 1}
	}
	c.Liveness = x.probe(a, "live", a.Live, port)
	template := podSpecOwner{
		Metadata: podMetadata{Labels: labels, Annotations: annotations},
		Spec:     pod{Grace: seconds(a.StopGrace), Containers: []container{c}},
	}
	if a.StopSignal != "SIGTERM" {
		x.note("apps."+a.ID+".stop", "stop.signal of %s has no counterpart: say STOPSIGNAL %s in the image", a.ID, a.StopSignal)
	}
	if a.Restart == "never" && port == 0 {
		template.Spec.Restart = "Never"
		annotations["dapr.io/enable-native-sidecar"] = "true" // else the pod would go on for its sidecar
		return x.file(a.ID+".yaml", object{APIVersion: "batch/v1", Kind: "Job", Metadata: metadata{Name: a.ID, Labels: labels}, Spec: workload{Backoff: new(0), Template: template}})
	}
	if a.Restart != "always" && x.said("apps."+a.ID+".restart") {
		x.note("apps."+a.ID+".restart", "restart of %s has no counterpart: a Deployment always restarts", a.ID)
	}
	docs := []any{object{
		APIVersion: "apps/v1", Kind: "Deployment", Metadata: metadata{Name: a.ID, Labels: labels},
		Spec: workload{Replicas: &a.Instances, Selector: &selector{labels}, Template: template},
	}}
	if port > 0 {
		docs = append(docs, object{
			APIVersion: "v1", Kind: "Service", Metadata: metadata{Name: a.ID, Labels: labels},
			Spec: service{Selector: labels, Ports: []servicePort{{80, port}}},
		})
	}
	return x.file(a.ID+".yaml", docs...)
}

// annotations tell Dapr's injector about the app.
func (x *exporter) annotations(a *config.App, port int) map[string]string {
	to := map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": a.ID}
	if port > 0 {
		to["dapr.io/app-port"] = strconv.Itoa(port)
		to["dapr.io/app-protocol"] = a.Protocol
	}
	if a.MaxConcurrency > 0 {
		to["dapr.io/app-max-concurrency"] = strconv.Itoa(a.MaxConcurrency)
	}
	if a.MaxBody > 0 {
		to["dapr.io/max-body-size"] = quantity(a.MaxBody)
	}
	if x.said("apps." + a.ID + ".header_limit") {
		to["dapr.io/read-buffer-size"] = quantity(a.HeaderLimit)
	}
	if h := a.Health; h != nil {
		to["dapr.io/enable-app-health-check"] = "true"
		to["dapr.io/app-health-check-path"] = h.Path
		to["dapr.io/app-health-probe-interval"] = strconv.Itoa(seconds(h.Interval))
		to["dapr.io/app-health-probe-timeout"] = strconv.Itoa(milliseconds(h.Timeout))
		to["dapr.io/app-health-threshold"] = strconv.Itoa(h.Threshold)
	}
	return to
}

// probe turns a check into one of Kubernetes, nil when it has none.
func (x *exporter) probe(a *config.App, key string, p *config.Probe, port int) *probe {
	if p == nil {
		return nil
	}
	to := &probe{Period: seconds(p.Interval), Timeout: seconds(p.Timeout), Failures: p.Threshold}
	switch {
	case strings.HasPrefix(p.HTTP, "/"):
		to.HTTP = &httpGet{Path: p.HTTP, Port: port}
		if a.Protocol == "https" {
			to.HTTP.Scheme = "HTTPS"
		}
	case p.TCP:
		to.TCP = &portOnly{port}
	case p.GRPC != "":
		to.GRPC = &grpcPort{Port: port, Service: strings.TrimPrefix(p.GRPC, "*")}
	case p.Exec != "":
		to.Exec = &execProbe{[]string{"sh", "-c", p.Exec}}
	default:
		x.note("apps."+a.ID+"."+key, "%s of %s has no counterpart: Kubernetes checks neither other servers nor the output", key, a.ID)
		return nil
	}
	return to
}
