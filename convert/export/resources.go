package export

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mesh/supervisor/config"
)

// object is a resource of Dapr, or of Kubernetes.
type object struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Auth       *auth    `yaml:"auth,omitempty"`
	Spec       any      `yaml:"spec"`
	Scopes     []string `yaml:"scopes,omitempty"`
}

type metadata struct {
	Name        string            `yaml:"name"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

type auth struct {
	SecretStore string `yaml:"secretStore"`
}

type componentSpec struct {
	Type         string     `yaml:"type"`
	Version      string     `yaml:"version"`
	IgnoreErrors bool       `yaml:"ignoreErrors,omitempty"`
	InitTimeout  string     `yaml:"initTimeout,omitempty"`
	Metadata     []property `yaml:"metadata"`
}

type property struct {
	Name   string     `yaml:"name"`
	Value  *string    `yaml:"value,omitempty"`
	Secret *secretRef `yaml:"secretKeyRef,omitempty"`
}

type secretRef struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

type subscriptionSpec struct {
	PubSub     string            `yaml:"pubsubname"`
	Topic      string            `yaml:"topic"`
	Routes     routes            `yaml:"routes"`
	DeadLetter string            `yaml:"deadLetterTopic,omitempty"`
	Metadata   map[string]string `yaml:"metadata,omitempty"`
}

type routes struct {
	Rules   []routeRule `yaml:"rules,omitempty"`
	Default string      `yaml:"default,omitempty"`
}

type routeRule struct {
	Match string `yaml:"match"`
	Path  string `yaml:"path"`
}

type resiliencySpec struct {
	Policies struct {
		Timeouts map[string]string  `yaml:"timeouts,omitempty"`
		Retries  map[string]retry   `yaml:"retries,omitempty"`
		Breakers map[string]breaker `yaml:"circuitBreakers,omitempty"`
	} `yaml:"policies"`
	Targets struct {
		Apps       map[string]target     `yaml:"apps,omitempty"`
		Components map[string]directions `yaml:"components,omitempty"`
	} `yaml:"targets"`
}

type retry struct {
	Policy      string `yaml:"policy"`
	Duration    string `yaml:"duration,omitempty"`
	MaxInterval string `yaml:"maxInterval,omitempty"`
	MaxRetries  int    `yaml:"maxRetries"`
}

type breaker struct {
	MaxRequests int    `yaml:"maxRequests"`
	Timeout     string `yaml:"timeout"`
	Trip        string `yaml:"trip"`
}

type target struct {
	Timeout string `yaml:"timeout,omitempty"`
	Retry   string `yaml:"retry,omitempty"`
	Breaker string `yaml:"circuitBreaker,omitempty"`
}

type directions struct {
	Outbound target `yaml:"outbound"`
}

// resources adds the files with what mesh.toml declares. redis is where the
// stand-ins for the components that mesh has by itself find a server.
func (x *exporter) resources(folder, redis string) error {
	components := x.components()
	components = append(components, x.standIns(redis)...)
	subscriptions := x.subscriptions()
	for name, docs := range map[string][]any{"components.yaml": components, "subscriptions.yaml": subscriptions, "resiliency.yaml": x.resiliency()} {
		if len(docs) == 0 {
			continue
		}
		if err := x.file(filepath.Join(folder, name), docs...); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) components() (docs []any) {
	for i := range x.Mesh.Components {
		c := &x.Mesh.Components[i]
		spec := componentSpec{Type: c.Type, Version: c.Version, IgnoreErrors: c.IgnoreErrors, Metadata: []property{}}
		if c.InitTimeout > 0 {
			spec.InitTimeout = c.InitTimeout.String()
		}
		for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
			spec.Metadata = append(spec.Metadata, property{Name: name, Value: new(c.Metadata[name])})
		}
		for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
			s := c.Secrets[name]
			if s.Key == "" {
				s.Key = s.Name
			}
			spec.Metadata = append(spec.Metadata, property{Name: name, Secret: &secretRef{s.Name, s.Key}})
		}
		doc := object{APIVersion: "dapr.io/v1alpha1", Kind: "Component", Metadata: metadata{Name: c.Name}, Spec: spec, Scopes: c.Scopes}
		if c.SecretStore != "" {
			doc.Auth = &auth{c.SecretStore}
		}
		docs = append(docs, doc)
	}
	return docs
}

// standIns are a store and a broker for those that mesh has by itself when none
// is declared. They may be missing, since nobody may use them.
func (x *exporter) standIns(redis string) (docs []any) {
	has := map[string]bool{}
	for i := range x.Mesh.Components {
		kind, _, _ := strings.Cut(x.Mesh.Components[i].Type, ".")
		has[kind] = true
	}
	for i := range x.declared.Components {
		kind, _, _ := strings.Cut(x.declared.Components[i].Type, ".")
		has[kind] = true
	}
	for _, s := range [][2]string{{"state", "statestore"}, {"pubsub", "pubsub"}} {
		if has[s[0]] {
			continue
		}
		docs = append(docs, object{
			APIVersion: "dapr.io/v1alpha1", Kind: "Component", Metadata: metadata{Name: s[1]},
			Spec: componentSpec{Type: s[0] + ".redis", Version: "v1", IgnoreErrors: true, Metadata: []property{
				{Name: "redisHost", Value: &redis}, {Name: "redisPassword", Value: new("")},
			}},
		})
		x.next("%s, which mesh has by itself, is Redis at %s: see that it runs there, or remove it from components.yaml", s[1], redis)
	}
	return docs
}

func (x *exporter) subscriptions() (docs []any) {
	names := map[string]bool{}
	for _, s := range x.Mesh.Subscriptions {
		name := label(s.PubSub + "-" + s.Topic)
		for n, base := 2, name; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		names[name] = true
		spec := subscriptionSpec{PubSub: s.PubSub, Topic: s.Topic, DeadLetter: s.DeadLetter, Metadata: s.Metadata, Routes: routes{Default: s.Route}}
		for _, r := range s.Rules {
			spec.Routes.Rules = append(spec.Routes.Rules, routeRule(r))
		}
		docs = append(docs, object{APIVersion: "dapr.io/v2alpha1", Kind: "Subscription", Metadata: metadata{Name: name}, Spec: spec, Scopes: s.Scopes})
	}
	return docs
}

func (x *exporter) resiliency() []any {
	if len(x.Mesh.Resiliency) == 0 {
		return nil
	}
	var spec resiliencySpec
	set := func(name string, t config.Target) (to target) {
		at := key("resiliency.targets", name)
		for _, part := range []string{"first_byte", "idle"} {
			if key := at + ".timeout." + part; x.said(key) {
				x.note(key, "timeout.%s of %s has no counterpart: Dapr bounds whole calls only", part, name)
			}
		}
		if t.Total > 0 {
			put(&spec.Policies.Timeouts, name, t.Total.String())
			to.Timeout = name
		}
		if r := t.Retry; r != nil {
			p := retry{Policy: r.Policy, MaxRetries: r.Max}
			if r.Policy == "constant" {
				p.Duration = r.Duration.String()
			} else {
				p.MaxInterval = r.Interval.String()
				if key := at + ".retry.duration"; x.said(key) {
					x.note(key, "retry.duration of %s has no counterpart: Dapr chooses the first pause of the exponential policy", name)
				}
			}
			put(&spec.Policies.Retries, name, p)
			to.Retry = name
		}
		if b := t.Breaker; b != nil {
			put(&spec.Policies.Breakers, name, breaker{MaxRequests: 1, Timeout: b.Timeout.String(), Trip: fmt.Sprintf("consecutiveFailures >= %d", b.Failures)})
			to.Breaker = name
		}
		return to
	}
	for _, name := range slices.Sorted(maps.Keys(x.Mesh.Resiliency)) {
		to := set(name, x.Mesh.Resiliency[name])
		if to == (target{}) {
			continue
		}
		if x.isComponent(name) && x.Mesh.Find(name) == nil {
			put(&spec.Targets.Components, name, directions{to})
		} else {
			put(&spec.Targets.Apps, name, to)
		}
	}
	if len(spec.Targets.Apps)+len(spec.Targets.Components) == 0 {
		return nil
	}
	return []any{object{APIVersion: "dapr.io/v1alpha1", Kind: "Resiliency", Metadata: metadata{Name: "mesh"}, Spec: spec}}
}

func (x *exporter) isComponent(name string) bool {
	for i := range x.Mesh.Components {
		if x.Mesh.Components[i].Name == name {
			return true
		}
	}
	for i := range x.declared.Components {
		if x.declared.Components[i].Name == name {
			return true
		}
	}
	return false
}

// put sets a value in a map that may not be there yet.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// copies adds the files of the folders of resources as they are.
func (x *exporter) copies() error {
	for _, dir := range x.folders() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("copying resources: %w", err)
		}
		for _, e := range entries {
			name := e.Name()
			if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(name, ".") || e.IsDir() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return fmt.Errorf("copying resources: %w", err)
			}
			to := "resources-" + name
			if slices.ContainsFunc(x.r.Files, func(f File) bool { return f.Name == to }) {
				to = fmt.Sprintf("resources-%s-%s", label(filepath.Base(dir)), name)
			}
			x.r.Files = append(x.r.Files, File{to, append([]byte(Header), text...)})
		}
	}
	return nil
}

// label makes a name that Kubernetes takes.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s[:min(len(s), 63)], "-")
}
