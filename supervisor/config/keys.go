package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// meshTable is the whole file.
func meshTable() table[Mesh] {
	return table[Mesh]{
		doc: "A mesh of services.",
		fields: []field[Mesh]{
			key("name", "Name of the mesh; by default that of its folder.", meshName(), func(m *Mesh, v string) { m.Name = v }),
			section("mesh", "What holds for all apps.",
				key("transport", "How sidecars reach each other. auto: in process when both run here, else gRPC; grpc: always over the wire; unary: whole bodies instead of streams, to compare.",
					enum("auto", "grpc", "unary"), func(m *Mesh, v string) { m.Transport = v }).or("auto"),
				key("balance", "How calls to apps that run elsewhere are spread over their instances.",
					enum("round-robin", "least-in-flight"), func(m *Mesh, v string) { m.Balance = v }).or("round-robin"),
				key("api_token", `Token that callers of a sidecar's API must send; "auto" makes a new one for each run and hands it to the apps.`,
					text(), func(m *Mesh, v string) { m.APIToken = v }).or(""),
				key("resources", "Folders with Dapr YAML.",
					list(path()), func(m *Mesh, v []string) { m.Resources = v }).or([]any{"components"}).alias("resources_path", "components_path", "resourcespaths"),
				key("env_file", "Files with KEY=value lines, for every app and for ${NAME} here; the environment wins, then the later file. The default need not exist.",
					list(path()), func(m *Mesh, v []string) { m.EnvFiles = v }).or([]any{standardEnvFile}).alias("dotenv"),
				section("mdns", "How names are announced.",
					key("interface", `Where names are announced: "loopback", the name of an interface, or "all".`,
						filled(), func(m *Mesh, v string) { m.Interface = v }).or("loopback")),
				namesSection(),
			),
			key("apps", "The services, by app id.",
				dict(object(appTable()), appName, func(a *App, id string) { a.ID = id }), func(m *Mesh, v map[string]App) { m.Apps = values(v) }).alias("services", "processes", "service"),
			key("components", "Dapr components, by name.",
				dict(object(componentTable()), componentName, func(c *Component, name string) { c.Name = name }), func(m *Mesh, v map[string]Component) { m.Components = values(v) }),
			key("subscriptions", "Topics whose messages are delivered to apps.",
				list(object(subscriptionTable())), func(m *Mesh, v []Subscription) { m.Subscriptions = v }),
			section("resiliency", "Timeouts, retries and circuit breakers.",
				key("targets", "By app id or component name.", dict(object(targetTable()), nil, nil), func(m *Mesh, v map[string]Target) { m.Resiliency = v })),
			section("screen", "What can be looked at.",
				key("capture", "How much of each body, and their headers without secrets, is kept for the screen and for exports; 0: nothing.",
					upTo(size(), maxCapture), func(m *Mesh, v int64) { m.Capture = v }).or(int64(0))),
			key("faults", "Disturbances made on purpose, by a name of your choice.",
				dict(object(faultTable()), nil, nil), func(m *Mesh, v map[string]Fault) { m.Faults = v }),
		},
		first: func(d *decoder, n node) {
			root, _ := n.value.(map[string]any) // the parser gives a table
			d.meshEnv = d.envFiles(node{"mesh", root["mesh"]}, standardEnvFile)
		},
		check: func(d *decoder, _ node, m *Mesh) {
			m.Env = pairs(d.meshEnv)
			if m.Name == "" {
				m.Name = filepath.Base(d.dir)
			}
			d.checkResolvers(m)
			d.checkMesh(m)
		},
	}
}

// values gives the values of a table in the order of their names.
func values[V any](byName map[string]V) []V {
	var list []V
	for _, name := range sortedKeys(byName) {
		list = append(list, byName[name])
	}
	return list
}

func meshName() rule[string] {
	return where(filled(), shape{"maxLength": 64}, func(s string) (string, string) {
		if len(s) > 64 || strings.ContainsAny(s, "/\\\r\n\t") {
			return "must have at most 64 characters, and no slashes", ""
		}
		return "", ""
	})
}

// appName checks an app id: what Dapr, mDNS and a URL all take.
func appName(id string) (msg, hint string) {
	likely := strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune(bareChars, r) {
			return r
		}
		return '-'
	}, id), "-_")
	hint = "use letters, digits, - and _"
	if likely != "" && len(likely) <= 63 && likely != id {
		hint = "write " + likely
	}
	switch {
	case id == "":
		return "an app id must not be empty", ""
	case len(id) > 63:
		return fmt.Sprintf("the app id %q has more than 63 characters", id), ""
	case strings.Contains(id, "."):
		return fmt.Sprintf("the app id %q holds a dot, which Dapr keeps for namespaces", id), hint
	case strings.Trim(id, bareChars) != "":
		i := strings.IndexFunc(id, func(r rune) bool { return !strings.ContainsRune(bareChars, r) })
		return fmt.Sprintf("the app id %q holds %q", id, string([]rune(id[i:])[:1])), hint
	case strings.Trim(id, "-_") != id:
		return fmt.Sprintf("the app id %q must begin and end with a letter or a digit", id), hint
	}
	return "", ""
}

func componentName(name string) (msg, hint string) {
	if strings.Trim(name, bareChars+".") != "" || name == "" {
		return fmt.Sprintf("the component name %q must have letters, digits, -, _ and . only", name), ""
	}
	return "", ""
}

func componentTable() table[Component] {
	ref := object(table[Secret]{
		fields: []field[Secret]{
			key("name", "Name of the secret.", filled(), func(s *Secret, v string) { s.Name = v }).needed(),
			key("key", "Key within the secret; by default its name.", text(), func(s *Secret, v string) { s.Key = v }),
		},
	})
	return table[Component]{
		doc: "A Dapr component.",
		fields: []field[Component]{
			key("type", "What it is, such as state.redis.", componentType(), func(c *Component, v string) { c.Type = v }).needed(),
			key("version", "Version of the component's type.", filled(), func(c *Component, v string) { c.Version = v }).or("v1"),
			key("metadata", "Settings as Dapr documents them for the type. A value may be { secretKeyRef = { name = …, key = … } }.",
				dict(metadataValue(ref), nil, nil), func(c *Component, v map[string]metadatum) { c.setMetadata(v) }),
			key("scopes", "Apps that may use it; by default all.", list(filled()), func(c *Component, v []string) { c.Scopes = v }),
			section("auth", "Where secretKeyRef is looked up.",
				key("secretStore", "Name of a secret store component.", filled(), func(c *Component, v string) { c.SecretStore = v }).alias("secret_store")),
			key("ignoreErrors", "Whether the mesh goes on without it when it does not start.", boolean(), func(c *Component, v bool) { c.IgnoreErrors = v }).or(false).alias("ignore_errors"),
			key("initTimeout", "How long it may take to start.", interval(), func(c *Component, v time.Duration) { c.InitTimeout = v }).alias("init_timeout"),
		},
		check: func(d *decoder, n node, c *Component) {
			for _, name := range sortedKeys(c.Secrets) {
				if at := join(join(n.path, "metadata"), name); c.SecretStore == "" && d.clean(n.path, "auth") && !d.tainted[at] {
					d.wrong(at, at+" needs a secret store", `add auth = { secretStore = "…" } to `+n.path)
				}
			}
		},
	}
}

// metadatum is one value of a component's metadata: text, or a secret.
type metadatum struct {
	text   string
	secret *Secret
}

func (c *Component) setMetadata(v map[string]metadatum) {
	c.Metadata = map[string]string{}
	for name, value := range v {
		if value.secret == nil {
			c.Metadata[name] = value.text
			continue
		}
		if c.Secrets == nil {
			c.Secrets = map[string]Secret{}
		}
		c.Secrets[name] = *value.secret
	}
}

func metadataValue(ref rule[Secret]) rule[metadatum] {
	secret := object(table[metadatum]{fields: []field[metadatum]{
		key("secretKeyRef", "A value from the secret store.", ref, func(m *metadatum, v Secret) {
			if v.Key == "" {
				v.Key = v.Name
			}
			m.secret = &v
		}).needed().alias("secret_key_ref", "secret"),
	}})
	return rule[metadatum]{shape{"anyOf": []shape{scalar().shape, secret.shape}}, func(d *decoder, n node) (metadatum, bool) {
		if _, isTable := n.value.(map[string]any); isTable {
			return secret.read(d, n)
		}
		s, ok := scalar().read(d, n)
		return metadatum{text: s}, ok
	}}
}

// componentType checks the part of a type before the dot; the rest is known
// to those who make components.
func componentType() rule[string] {
	kinds := []string{"state", "pubsub", "bindings", "secretstores", "configuration", "lock", "nameresolution", "middleware.http", "crypto", "conversation"}
	return where(filled(), shape{"pattern": `^[a-z]+\.[a-z0-9._/-]+$|\$\{`}, func(s string) (string, string) {
		for _, kind := range kinds {
			if rest, ok := strings.CutPrefix(s, kind+"."); ok && rest != "" {
				return "", ""
			}
		}
		kind, rest, _ := strings.Cut(s, ".")
		hint := `write a kind and a type, such as "state.sqlite" or "pubsub.redis"`
		if i := slices.Index(kinds, suggest(kind, kinds)); i >= 0 && rest != "" {
			hint = fmt.Sprintf("did you mean %q?", kinds[i]+"."+rest)
		}
		return fmt.Sprintf("is no type of component: %q", s), hint
	})
}

func subscriptionTable() table[Subscription] {
	rule := object(table[Rule]{
		fields: []field[Rule]{
			key("match", `Expression in CEL, such as event.type == "order".`, filled(), func(r *Rule, v string) { r.Match = v }).needed(),
			key("path", "Where the message is sent.", route(), func(r *Rule, v string) { r.Path = v }).needed(),
		},
	})
	return table[Subscription]{
		doc: "Messages of one topic, delivered to apps.",
		fields: []field[Subscription]{
			key("pubsub", "Name of the pub/sub component.", filled(), func(s *Subscription, v string) { s.PubSub = v }).needed().alias("pubsubname", "pubsub_name"),
			key("topic", "The topic.", filled(), func(s *Subscription, v string) { s.Topic = v }).needed(),
			key("route", "Path in the app that takes the messages that no rule matches.", route(), func(s *Subscription, v string) { s.Route = v }).alias("default"),
			key("rules", "Paths for some of the messages, tried in order.", list(rule), func(s *Subscription, v []Rule) { s.Rules = v }).alias("routes"),
			key("dead_letter", "Topic for messages that could not be delivered.", filled(), func(s *Subscription, v string) { s.DeadLetter = v }).alias("deadlettertopic", "dead_letter_topic"),
			key("metadata", "Settings of the subscription.", dict(scalar(), nil, nil), func(s *Subscription, v map[string]string) { s.Metadata = v }),
			key("scopes", "Apps that receive the messages; by default all.", list(filled()), func(s *Subscription, v []string) { s.Scopes = v }),
		},
		check: func(d *decoder, n node, s *Subscription) {
			if s.Route == "" && len(s.Rules) == 0 && d.clean(n.path, "route", "rules") {
				d.wrongKey(n.path, n.path+" has no route", `add route = "/…": the path in the app that takes the messages`)
			}
		},
	}
}

// route is a path in an app.
func route() rule[string] {
	return rule[string]{filled().shape, func(d *decoder, n node) (string, bool) {
		s, ok := filled().read(d, n)
		return "/" + strings.TrimPrefix(s, "/"), ok
	}}
}

func targetTable() table[Target] {
	retry := object(table[Retry]{
		fields: []field[Retry]{
			key("policy", "How the pauses between tries grow.", enum("constant", "exponential"), func(r *Retry, v string) { r.Policy = v }).or("exponential"),
			key("max", "Tries after the first; -1: without end.", integer(-1, unbounded), func(r *Retry, v int) { r.Max = v }).or(int64(3)).alias("max_retries", "maxretries", "attempts"),
			key("duration", "Pause between tries; the first pause of the exponential policy.", duration(), func(r *Retry, v time.Duration) { r.Duration = v }).or("500ms").alias("delay", "backoff"),
			key("max_interval", "Longest pause of the exponential policy.", interval(), func(r *Retry, v time.Duration) { r.Interval = v }).or("60s").alias("maxinterval", "interval"),
		},
	})
	breaker := object(table[Breaker]{
		fields: []field[Breaker]{
			key("consecutive_failures", "Failures in a row that open the circuit.", integer(1, unbounded), func(b *Breaker, v int) { b.Failures = v }).or(int64(5)).alias("failures", "threshold"),
			key("timeout", "How long the circuit stays open.", interval(), func(b *Breaker, v time.Duration) { b.Timeout = v }).or("10s"),
		},
	})
	return table[Target]{
		doc: "What holds for calls to one app or component.",
		fields: []field[Target]{
			section("timeout", "Limits in time; 0s is none. Streams are best limited by silence, not by length.",
				key("first_byte", "Until the reply begins.", duration(), func(t *Target, v time.Duration) { t.FirstByte = v }).or("0s"),
				key("idle", "Silence: no byte in either direction.", duration(), func(t *Target, v time.Duration) { t.Idle = v }).or("0s"),
				key("total", "All of the call, however well its stream flows.", duration(), func(t *Target, v time.Duration) { t.Total = v }).or("0s")),
			key("retry", "Tries after a failure, before the first byte of a reply.", retry, func(t *Target, v Retry) { t.Retry = &v }).alias("retries"),
			key("circuit_breaker", "Refuses calls for a while after failures in a row.", breaker, func(t *Target, v Breaker) { t.Breaker = &v }).alias("breaker", "circuitbreaker"),
		},
	}
}

func faultTable() table[Fault] {
	return table[Fault]{
		doc: "A disturbance made on purpose, to see what it does.",
		fields: []field[Fault]{
			key("target", "App whose calls are disturbed.", filled(), func(f *Fault, v string) { f.Target = v }).needed().alias("app"),
			key("delay", "Pause before the call.", duration(), func(f *Fault, v time.Duration) { f.Delay = v }),
			key("rate", "Share of the calls, from 0 to 1.", share(), func(f *Fault, v float64) { f.Rate = v }).or(1.0).alias("percent", "probability"),
			key("abort", "HTTP status that is answered instead of a call.", integer(400, 599), func(f *Fault, v int) { f.Abort = v }).alias("status"),
			key("bandwidth", `Bytes per second of the request and of the reply, such as "64KiB".`, size(), func(f *Fault, v int64) { f.Bandwidth = v }),
			key("cut_after", "Bytes of the reply after which it breaks off.", size(), func(f *Fault, v int64) { f.CutAfter = v }),
			key("off", "Whether it waits to be switched on.", boolean(), func(f *Fault, v bool) { f.Off = v }).or(false).alias("disabled"),
		},
		check: func(d *decoder, n node, f *Fault) {
			if f.Delay == 0 && f.Abort == 0 && f.Bandwidth == 0 && f.CutAfter == 0 && !d.tainted[n.path] {
				d.wrongKey(n.path, n.path+" does nothing", "add delay, abort, bandwidth or cut_after")
			}
		},
	}
}
