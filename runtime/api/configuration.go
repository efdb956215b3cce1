package api

import (
	"context"

	"mesh/runtime/component"
)

// ConfigurationValue is one value of a configuration store.
type ConfigurationValue = component.Value

// Configuration reads keys; none means all of them.
func (a *API) Configuration(ctx context.Context, store string, names []string, metadata map[string]string) (all map[string]ConfigurationValue, err error) {
	f := a.record("configuration", store, "get", keys(len(names), func(i int) string { return names[i] }), 0)
	defer func() { f.end(0, err) }()
	all, err = through(ctx, a, store, func(ctx context.Context) (map[string]ConfigurationValue, error) {
		return a.o.Components.Configuration(store).Get(ctx, names, metadata)
	})
	if err != nil {
		return nil, configurationError(err, store, ErrConfigurationGet, "failed to get "+keys(len(names), func(i int) string { return names[i] }))
	}
	return all, nil
}

// WatchConfiguration calls changed with what changed, until ctx ends. The error
// is that there is no such store.
func (a *API) WatchConfiguration(ctx context.Context, store string, names []string, metadata map[string]string, changed func(context.Context, map[string]ConfigurationValue) error) error {
	if err := a.HasConfiguration(store); err != nil {
		return err
	}
	a.o.Components.Configuration(store).Watch(ctx, names, metadata, changed)
	return nil
}

// Watcher calls the app when values of a configuration store change.
type Watcher interface {
	// Watch begins that and gives it a name; no keys means all of them.
	Watch(store string, keys []string, metadata map[string]string) (id string)

	// Unwatch ends it, or says that there is none of that name.
	Unwatch(store, id string) bool
}

// SubscribeConfiguration has the app called when keys of a store change, until
// UnsubscribeConfiguration.
func (a *API) SubscribeConfiguration(store string, names []string, metadata map[string]string) (id string, err error) {
	f := a.record("configuration", store, "subscribe", keys(len(names), func(i int) string { return names[i] }), 0)
	defer func() { f.end(0, err) }()
	if err := a.HasConfiguration(store); err != nil {
		return "", err
	}
	if a.o.Watcher == nil {
		return "", Errorf(ErrAppChannelNil, "app channel is not initialized. cannot subscribe to configuration updates")
	}
	return a.o.Watcher.Watch(store, names, metadata), nil
}

// UnsubscribeConfiguration ends what SubscribeConfiguration began.
func (a *API) UnsubscribeConfiguration(store, id string) (err error) {
	f := a.record("configuration", store, "unsubscribe", id, 0)
	defer func() { f.end(0, err) }()
	if err := a.HasConfiguration(store); err != nil {
		return err
	}
	if a.o.Watcher == nil || !a.o.Watcher.Unwatch(store, id) {
		return Errorf(ErrConfigurationUnsubscribe, "failed to unsubscribe to configuration request %s: there is no such subscription", id)
	}
	return nil
}

// HasConfiguration says why the app has no such store.
func (a *API) HasConfiguration(store string) error {
	if _, err := a.o.Components.Metadata(component.KindConfiguration, store, ""); err != nil {
		return configurationError(err, store, ErrConfigurationSubscribe, "failed to subscribe")
	}
	return nil
}

// configurationError says an error of a configuration store with Dapr's codes.
func configurationError(err error, store string, code Code, what string) *Error {
	if none, ok := absent(err); ok {
		if none {
			return Wrap(ErrConfigurationStoreNotConfigured, err, "configuration stores not configured")
		}
		return Wrap(ErrConfigurationStoreNotFound, err, "configuration store %s not found", store)
	}
	return Wrap(code, err, "%s from configuration store %s: %v", what, store, err)
}
