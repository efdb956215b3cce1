package api

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Secret reads one secret, which may have several keys.
func (a *API) Secret(ctx context.Context, store, key string, metadata map[string]string) (data map[string]string, err error) {
	f := a.record("secret", store, "get", key, 0)
	defer func() { f.end(0, err) }()
	if !a.maySee(store, key) {
		return nil, Errorf(ErrPermissionDenied, "access denied by policy to get %q from %q", key, store)
	}
	data, err = through(ctx, a, store, func(ctx context.Context) (map[string]string, error) {
		return a.o.Components.Secrets(store).Get(ctx, key, metadata)
	})
	if err != nil {
		return nil, secretError(err, store, "failed getting secret with key "+key+" from secret store "+store)
	}
	return data, nil
}

// Secrets reads every secret that the app may see, by name.
func (a *API) Secrets(ctx context.Context, store string, metadata map[string]string) (all map[string]map[string]string, err error) {
	f := a.record("secret", store, "get all", "", 0)
	defer func() { f.end(0, err) }()
	all, err = through(ctx, a, store, func(ctx context.Context) (map[string]map[string]string, error) {
		return a.o.Components.Secrets(store).All(ctx, metadata)
	})
	if err != nil {
		return nil, secretError(err, store, "failed getting secrets from secret store "+store)
	}
	maps.DeleteFunc(all, func(key string, _ map[string]string) bool { return !a.maySee(store, key) })
	return all, nil
}

// maySee says whether the declared scopes let apps read a secret.
func (a *API) maySee(store, key string) bool {
	if a.o.SecretScopes == nil {
		return true
	}
	for _, s := range a.o.SecretScopes() {
		switch {
		case s.Store != store:
			continue
		case slices.Contains(s.Denied, key):
			return false
		case len(s.Allowed) > 0:
			return slices.Contains(s.Allowed, key)
		}
		return !strings.EqualFold(s.DefaultAccess, "deny")
	}
	return true
}

// secretError says an error of a secret store with Dapr's codes.
func secretError(err error, store, what string) *Error {
	if none, ok := absent(err); ok {
		if none {
			return Wrap(ErrSecretStoresNotConfigured, err, "secret store is not configured")
		}
		return Wrap(ErrSecretStoreNotFound, err, "failed finding secret store with key %s", store)
	}
	return Wrap(ErrSecretGet, err, "%s: %v", what, err)
}
