// Package resiliency makes policies of Dapr's Resiliency resources.
package resiliency

import (
	"fmt"
	"reflect"

	"mesh/runtime/policy"
	"mesh/runtime/resource"
)

// Check finds expressions and codes that cannot be read.
func Check(r *resource.Resiliency) (errs resource.Errors) {
	for name, b := range r.Breakers {
		if b.Trip == "" {
			continue
		}
		if _, err := policy.ParseTrip(b.Trip); err != nil {
			errs = append(errs, &resource.Error{Place: b.Place, Msg: fmt.Sprintf("circuit breaker %s: %v", name, err)})
		}
	}
	for name, t := range r.Retries {
		for _, set := range []string{t.HTTPCodes, t.GRPCCodes} {
			if _, err := codesOf(set); err != nil {
				errs = append(errs, &resource.Error{Place: t.Place, Msg: fmt.Sprintf("retry %s: %v", name, err)})
			}
		}
	}
	return errs
}

// Add adds the policies of Resiliency resources for apps to targets, for calls of
// the apps in scope; what stands there already wins. A breaker whose declaration
// is that of old keeps what it has counted in the policies that are running.
func Add(targets map[string][]policy.Scoped, now, old []resource.Resiliency, running *policy.Book) {
	for i := range now {
		r := &now[i]
		for app, t := range r.Apps {
			p := policy.Policy{Timeout: policy.Timeout{Try: r.Timeouts[t.Timeout]}}
			if t.Retry != "" {
				p.Retry = retryOf(r.Retries[t.Retry])
			}
			if t.Breaker != "" {
				p.Breaker = breakerOf(app, r.Breakers[t.Breaker])
				before := func(was *resource.Resiliency) resource.Target { return was.Apps[app] }
				if kept := running.Declared(r.Name, app).Breaker; kept != nil && sameBreaker(old, r, t.Breaker, before) {
					p.Breaker = kept
				}
			}
			targets[app] = append(targets[app], policy.Scoped{Policy: p, Scopes: r.Scopes, Source: r.Name})
		}
	}
}

// sameBreaker says whether a target had the very breaker of this name before;
// target gives it as a resource declares it.
func sameBreaker(old []resource.Resiliency, r *resource.Resiliency, name string, target func(*resource.Resiliency) resource.Target) bool {
	for i := range old {
		was, is := old[i].Breakers[name], r.Breakers[name]
		was.Place, is.Place = resource.Place{}, resource.Place{}
		if old[i].Name == r.Name && target(&old[i]).Breaker == name && reflect.DeepEqual(was, is) {
			return true
		}
	}
	return false
}

func retryOf(r resource.Retry) *policy.Retry {
	p := &policy.Retry{Max: r.MaxRetries, Interval: r.Duration, Exponential: r.Policy == "exponential"}
	if p.Exponential {
		p.MaxInterval = r.MaxInterval
	}
	if r.HTTPCodes != "" || r.GRPCCodes != "" {
		http, _ := codesOf(r.HTTPCodes) // Check has read them
		grpc, _ := codesOf(r.GRPCCodes)
		p.Again = policy.AgainOn(http, grpc)
	}
	return p
}

// codesOf reads a set of codes, nil when there is none.
func codesOf(text string) (policy.Codes, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no set is no error
	}
	return policy.ParseCodes(text)
}

func breakerOf(app string, b resource.Breaker) *policy.Breaker {
	// Without an expression Dapr opens after five failures in a row.
	o := policy.BreakerOptions{Name: app, Failures: 6, Timeout: b.Timeout, Interval: b.Interval, Probes: b.MaxRequests}
	if b.Trip != "" {
		o.Trip, _ = policy.ParseTrip(b.Trip) // so has Check
	}
	return policy.NewBreaker(o)
}
