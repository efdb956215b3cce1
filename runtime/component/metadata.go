package component

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/secretstores"

	"mesh/runtime/resource"
)

// metadata gives what the component is started with for an app: values from
// secrets and the environment looked up, placeholders filled in, paths made
// absolute. app is empty for what all apps share.
func (s *slot) metadata(ctx context.Context, app string) (metadata.Base, error) {
	base := metadata.Base{Name: s.spec.Name, Properties: make(map[string]string, len(s.spec.Metadata)+1)}
	for _, p := range s.spec.Metadata {
		value, err := s.value(ctx, p)
		if err != nil {
			return base, fmt.Errorf("reading %s: %w", p.Name, err)
		}
		value = s.opt.fill(value, app)
		switch name := strings.ToLower(p.Name); {
		case slices.Contains(s.maker.files, name) && !filepath.IsAbs(value):
			value = filepath.Join(s.opt.Dir, value)
		case slices.Contains(s.maker.dbs, name):
			if value, err = database(s.opt.Dir, value); err != nil {
				return base, fmt.Errorf("reading %s: %w", p.Name, err)
			}
		}
		base.Properties[p.Name] = value
	}
	if kindOf(s.spec.Type) == KindPubSub {
		if group, _ := base.GetProperty(pubsub.RuntimeConsumerIDKey); strings.TrimSpace(group) == "" {
			if app == "" {
				app = "mesh-" + rand.Text() // it only publishes; brokers want every client to have its own name
			}
			base.Properties[pubsub.RuntimeConsumerIDKey] = app
		}
	}
	return base, nil
}

// value finds the value of one property.
func (s *slot) value(ctx context.Context, p resource.Property) (string, error) {
	switch {
	case p.Secret.Name != "":
		return s.secret(ctx, p.Secret)
	case p.Env != "":
		if name := strings.ToUpper(p.Env); strings.HasPrefix(name, "DAPR_") || name == "APP_API_TOKEN" || strings.ContainsAny(name, " =") {
			return "", fmt.Errorf("the environment variable %s may not be used", p.Env)
		}
		v, ok := s.opt.Env(p.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", p.Env)
		}
		return v, nil
	}
	return p.Value, nil
}

func (s *slot) secret(ctx context.Context, ref resource.SecretRef) (string, error) {
	if s.spec.SecretStore == "" {
		return "", errors.New("it is a secret, but auth.secretStore does not say where to look")
	}
	if s.secrets == nil {
		return "", fmt.Errorf("there is no secret store named %s", s.spec.SecretStore)
	}
	u, err := s.secrets.hold()
	if err != nil {
		return "", err
	}
	defer s.release(u)
	store, ok := u.raw.(secretstores.SecretStore)
	if !ok {
		return "", fmt.Errorf("%s is no secret store", s.spec.SecretStore)
	}
	got, err := store.GetSecret(ctx, secretstores.GetSecretRequest{Name: ref.Name})
	if err != nil {
		return "", fmt.Errorf("asking %s for %s: %w", s.spec.SecretStore, ref.Name, err)
	}
	v, ok := got.Data[ref.Key]
	if !ok {
		return "", fmt.Errorf("secret %s of %s has no key %s", ref.Name, s.spec.SecretStore, ref.Key)
	}
	return v, nil
}

// fill replaces the placeholders that Dapr knows.
func (o *Options) fill(value, app string) string {
	if !strings.Contains(value, "{") {
		return value
	}
	pod, _ := o.Env("POD_NAME")
	return strings.NewReplacer(
		"{uuid}", rand.Text(),
		"{podName}", pod,
		"{namespace}", cmp.Or(o.Namespace, "default")+"."+app,
		"{appID}", app,
	).Replace(value)
}

// perApp says whether a component is another one for each app.
func perApp(c *resource.Component) bool {
	return slices.ContainsFunc(c.Metadata, func(p resource.Property) bool {
		return strings.Contains(p.Value, "{appID}") || strings.Contains(p.Value, "{namespace}")
	})
}

// database makes the file name in a SQLite connection string absolute, and the
// folder of the database when that is inside the project.
func database(dir, value string) (string, error) {
	if strings.HasPrefix(value, ":memory:") {
		return value, nil
	}
	name, query, _ := strings.Cut(value, "?")
	if uri, ok := strings.CutPrefix(name, "file:"); ok {
		if strings.HasPrefix(uri, ":memory:") || strings.Contains(query, "mode=memory") {
			return value, nil
		}
		var err error
		if name, err = url.PathUnescape(uri); err != nil {
			return "", fmt.Errorf("%s is no database: %w", value, err)
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	if strings.HasPrefix(name, dir+string(filepath.Separator)) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return "", fmt.Errorf("making the folder of %s: %w", value, err)
		}
	}
	if query != "" {
		query = "?" + query
	}
	escape := strings.NewReplacer("%", "%25", "#", "%23", "?", "%3F") // as SQLite reads a URI
	return "file:" + escape.Replace(name) + query, nil
}
