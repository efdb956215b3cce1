package supervisor

import (
	"reflect"
	"slices"

	"mesh/runtime/resource"
	"mesh/supervisor/config"
)

// changes says what turns one mesh into another: their mesh.toml, and what they
// are supplied with, which the YAML of the resources folders declares as well.
func changes(from, to *config.Mesh, have, wanted *supplies) config.Change {
	c := config.Diff(from, to)
	c.Components = differing(have.want.Components, wanted.want.Components, func(c *resource.Component) string { return c.Name })
	c.Subscriptions = !alike(have.sidecars.Subscriptions, wanted.sidecars.Subscriptions)
	yaml := differing(have.resiliency, wanted.resiliency, func(r *resource.Resiliency) string { return r.Name })
	c.Resiliency.Added = append(c.Resiliency.Added, yaml.Added...)
	c.Resiliency.Changed = append(c.Resiliency.Changed, yaml.Changed...)
	c.Resiliency.Removed = append(c.Resiliency.Removed, yaml.Removed...)
	c.Configuration = !alike(have.want.Denied, wanted.want.Denied) ||
		!alike(have.sidecars.SecretScopes, wanted.sidecars.SecretScopes) || !alike(have.names, wanted.names)
	return c
}

// differing compares two lists of things with names. Several may have the same
// one.
func differing[V any](have, wanted []V, name func(*V) string) (n config.Names) {
	byName := func(list []V) (names []string, by map[string][]V) {
		by = map[string][]V{}
		for i := range list {
			key := name(&list[i])
			if by[key] == nil {
				names = append(names, key)
			}
			by[key] = append(by[key], list[i])
		}
		slices.Sort(names)
		return names, by
	}
	before, was := byName(have)
	after, is := byName(wanted)
	for _, key := range after {
		switch {
		case was[key] == nil:
			n.Added = append(n.Added, key)
		case !alike(was[key], is[key]):
			n.Changed = append(n.Changed, key)
		}
	}
	for _, key := range before {
		if is[key] == nil {
			n.Removed = append(n.Removed, key)
		}
	}
	return n
}

// alike says whether two values are the same, wherever in the files they stand,
// and whether lists without elements are there or not.
func alike[V any](a, b V) bool { return same(reflect.ValueOf(a), reflect.ValueOf(b)) }

func same(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() {
		return false
	}
	if !a.IsValid() || a.Type() == reflect.TypeFor[resource.Place]() {
		return true
	}
	if a.Type() != b.Type() { // of what interfaces hold
		return false
	}
	switch a.Kind() { //nolint:exhaustive // the others are compared as they are
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, key := range a.MapKeys() {
			if !same(a.MapIndex(key), b.MapIndex(key)) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Interface:
		return same(a.Elem(), b.Elem())
	}
	return a.Equal(b)
}
