package resource

import (
	"fmt"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// document is one document whose kind and name are known.
type document struct {
	*reader
	root        *yaml.Node
	top         map[string]*yaml.Node
	place       Place
	version     string // apiVersion
	name        string
	scopes      []string
	secretStore string
}

// spec gives the keys below spec; a document without it is a mistake.
func (d *document) spec(known ...string) map[string]*yaml.Node {
	f := d.fields(d.top["spec"], known...)
	if f == nil {
		d.fail(d.root, d.name+" has no spec", "")
	}
	return f
}

func (d *document) component() Component {
	f := d.spec("type", "version", "metadata", "ignoreErrors", "initTimeout")
	c := Component{
		Name: d.name, Scopes: d.scopes, SecretStore: d.secretStore, Place: d.place,
		Type:         d.text(f["type"]),
		Version:      d.text(f["version"]),
		Metadata:     d.properties(f["metadata"]),
		IgnoreErrors: d.truth(f["ignoreErrors"]),
		InitTimeout:  d.duration(f["initTimeout"], time.Second, 0),
	}
	if n := f["type"]; n != nil {
		c.Place = d.reader.place(n) // what most mistakes are about
	} else if f != nil {
		d.fail(d.top["spec"], fmt.Sprintf("component %s has no type", d.name), "say type: state.redis, or another one")
	}
	if c.Version == "" {
		c.Version = "v1"
	}
	return c
}

func (d *document) subscription() Subscription {
	f := d.spec("pubsubname", "topic", "route", "routes", "deadLetterTopic", "metadata", "bulkSubscribe")
	s := Subscription{
		Name: d.name, Scopes: d.scopes, Place: d.place,
		PubSub:     d.text(f["pubsubname"]),
		Topic:      d.text(f["topic"]),
		Default:    d.text(f["route"]),
		DeadLetter: d.text(f["deadLetterTopic"]),
		Metadata:   d.table(f["metadata"]),
	}
	if routes := d.fields(f["routes"], "rules", "default"); routes != nil {
		s.Default = d.text(routes["default"])
		for _, item := range d.items(routes["rules"]) {
			rule := d.fields(item, "match", "path")
			s.Rules = append(s.Rules, Rule{Match: d.text(rule["match"]), Path: d.text(rule["path"])})
		}
	}
	if bulk := d.fields(f["bulkSubscribe"], "enabled", "maxMessagesCount", "maxAwaitDurationMs"); d.truth(bulk["enabled"]) {
		s.Bulk = &Bulk{
			MaxMessages: d.integer(bulk["maxMessagesCount"], 0),
			MaxAwait:    d.duration(bulk["maxAwaitDurationMs"], time.Millisecond, 0),
		}
	}
	if f != nil && (s.PubSub == "" || s.Topic == "") {
		d.fail(d.top["spec"], fmt.Sprintf("subscription %s needs pubsubname and topic", d.name), "")
	}
	if f != nil && s.Default == "" && len(s.Rules) == 0 {
		d.fail(d.top["spec"], fmt.Sprintf("subscription %s has no route", d.name), "say route: /path, or routes: with rules and a default")
	}
	return s
}

func (d *document) endpoint() HTTPEndpoint {
	f := d.spec("baseUrl", "headers", "clientTLS")
	e := HTTPEndpoint{
		Name: d.name, Scopes: d.scopes, SecretStore: d.secretStore, Place: d.place,
		BaseURL: d.text(f["baseUrl"]),
		Headers: d.properties(f["headers"]),
	}
	if tls := d.fields(f["clientTLS"], "rootCA", "certificate", "privateKey", "renegotiation"); tls != nil {
		e.TLS.Renegotiation = d.text(tls["renegotiation"])
		for name, to := range map[string]*Property{"rootCA": &e.TLS.RootCA, "certificate": &e.TLS.Certificate, "privateKey": &e.TLS.PrivateKey} {
			if tls[name] != nil {
				*to = d.property(tls[name], name)
			}
		}
	}
	if f != nil && e.BaseURL == "" {
		d.fail(d.top["spec"], fmt.Sprintf("endpoint %s has no baseUrl", d.name), "")
	}
	return e
}

// Dapr's values for what a retry policy leaves out.
const (
	retryDuration    = 5 * time.Second
	retryMaxInterval = time.Minute
)

func (d *document) resiliency() Resiliency {
	f := d.spec("policies", "targets")
	r := Resiliency{
		Name: d.name, Scopes: d.scopes, Place: d.place,
		Timeouts: map[string]time.Duration{}, Retries: map[string]Retry{}, Breakers: map[string]Breaker{},
		Apps: map[string]Target{}, Components: map[string]Directions{},
	}
	policies := d.fields(f["policies"], "timeouts", "retries", "circuitBreakers")
	for name, n := range d.fields(policies["timeouts"]) {
		if n.Kind == yaml.ScalarNode {
			r.Timeouts[name] = d.duration(n, time.Second, 0)
		} else {
			d.fail(n, fmt.Sprintf("timeout %s must be a duration", name), "")
		}
	}
	for name, n := range d.fields(policies["retries"]) {
		r.Retries[name] = d.retry(n, name)
	}
	for name, n := range d.fields(policies["circuitBreakers"]) {
		b := d.fields(n, "maxRequests", "interval", "timeout", "trip")
		r.Breakers[name] = Breaker{
			MaxRequests: d.integer(b["maxRequests"], 1),
			Interval:    d.duration(b["interval"], time.Second, 0),
			Timeout:     d.duration(b["timeout"], time.Second, time.Minute),
			Trip:        d.text(b["trip"]),
			Place:       d.reader.place(n),
		}
	}
	targets := d.fields(f["targets"], "apps", "components", "actors")
	for name, n := range d.fields(targets["apps"]) {
		r.Apps[name] = d.target(n)
		d.checkTarget(&r, r.Apps[name])
	}
	for name, n := range d.fields(targets["components"]) {
		both := d.fields(n, "inbound", "outbound")
		r.Components[name] = Directions{Outbound: d.target(both["outbound"]), Inbound: d.target(both["inbound"])}
		d.checkTarget(&r, r.Components[name].Outbound)
		d.checkTarget(&r, r.Components[name].Inbound)
	}
	return r
}

func (d *document) retry(n *yaml.Node, name string) Retry {
	f := d.fields(n, "policy", "duration", "maxInterval", "maxRetries", "matching")
	matching := d.fields(f["matching"], "httpStatusCodes", "gRPCStatusCodes")
	policy := d.text(f["policy"])
	switch policy {
	case "":
		policy = "constant"
	case "constant", "exponential":
	default:
		d.fail(f["policy"], fmt.Sprintf("retry %s has the unknown policy %q", name, policy), "policies are constant and exponential")
	}
	return Retry{
		Policy:      policy,
		Duration:    d.duration(f["duration"], time.Second, retryDuration),
		MaxInterval: d.duration(f["maxInterval"], time.Second, retryMaxInterval),
		MaxRetries:  d.integer(f["maxRetries"], -1),
		HTTPCodes:   d.text(matching["httpStatusCodes"]),
		GRPCCodes:   d.text(matching["gRPCStatusCodes"]),
		Place:       d.reader.place(n),
	}
}

func (d *document) target(n *yaml.Node) Target {
	f := d.fields(n, "timeout", "retry", "circuitBreaker")
	if f == nil {
		return Target{}
	}
	return Target{
		Timeout: d.text(f["timeout"]),
		Retry:   d.text(f["retry"]),
		Breaker: d.text(f["circuitBreaker"]),
		Place:   d.reader.place(n),
	}
}

// checkTarget reports policies that a target names and nobody declares.
func (d *document) checkTarget(r *Resiliency, t Target) {
	missing := func(kind, name string, known bool) {
		if name != "" && !known {
			d.failAt(t.Place, fmt.Sprintf("there is no %s named %q", kind, name), "declare it below policies in the same document")
		}
	}
	_, timeout := r.Timeouts[t.Timeout]
	_, retry := r.Retries[t.Retry]
	_, breaker := r.Breakers[t.Breaker]
	missing("timeout", t.Timeout, timeout)
	missing("retry", t.Retry, retry)
	missing("circuit breaker", t.Breaker, breaker)
}

func (d *document) configuration() Configuration {
	c := Configuration{Name: d.name, Place: d.place, Features: map[string]bool{}}
	f := d.fields(d.top["spec"], "httpPipeline", "appHttpPipeline", "secrets", "nameResolution", "features", "components", "tracing")
	c.HTTPPipeline, c.AppPipeline = d.handlers(f["httpPipeline"]), d.handlers(f["appHttpPipeline"])
	if n := f["nameResolution"]; n != nil {
		nr := d.fields(n, "component", "version", "configuration")
		c.NameResolution = &NameResolution{Component: d.text(nr["component"]), Version: d.text(nr["version"]), Place: d.reader.place(n)}
		if options := nr["configuration"]; options != nil {
			if err := options.Decode(&c.NameResolution.Options); err != nil {
				d.fail(options, "this is no configuration: "+err.Error(), "")
			}
		}
	}
	for _, item := range d.items(d.fields(f["secrets"], "scopes")["scopes"]) {
		s := d.fields(item, "storeName", "defaultAccess", "allowedSecrets", "deniedSecrets")
		c.SecretScopes = append(c.SecretScopes, SecretScope{
			Store:         d.text(s["storeName"]),
			DefaultAccess: d.text(s["defaultAccess"]),
			Allowed:       d.texts(s["allowedSecrets"]),
			Denied:        d.texts(s["deniedSecrets"]),
		})
	}
	for _, item := range d.items(f["features"]) {
		feature := d.fields(item, "name", "enabled")
		c.Features[d.text(feature["name"])] = d.truth(feature["enabled"])
	}
	c.Denied = d.texts(d.fields(f["components"], "deny")["deny"])
	if n := d.fields(f["tracing"], "samplingRate", "stdout", "zipkin", "otel")["samplingRate"]; n != nil {
		rate, err := strconv.ParseFloat(d.text(n), 64)
		if err != nil || rate < 0 || rate > 1 {
			d.fail(n, "samplingRate must be a number from 0 to 1", "")
		}
		c.Sampling = &rate
	}
	return c
}

func (d *document) handlers(n *yaml.Node) []Handler {
	var all []Handler
	for _, item := range d.items(d.fields(n, "handlers")["handlers"]) {
		h := d.fields(item, "name", "type")
		all = append(all, Handler{Name: d.text(h["name"]), Type: d.text(h["type"]), Place: d.reader.place(item)})
	}
	return all
}
