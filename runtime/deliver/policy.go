package deliver

import (
	"context"
	"errors"
	"time"

	"mesh/runtime/policy"
)

// Outcome is how a delivery ended, after all its tries.
type Outcome struct {
	Kind             string // delivery or binding
	Component, Topic string
	Status           string // success, retry or drop
	Took             time.Duration
}

// inbound runs a delivery under the policies of its component.
func (s *session) inbound(ctx context.Context, component string, f func(context.Context) error) error {
	return s.o.Policies.Inbound(ctx, s.o.AppID, component, func(ctx context.Context) error {
		err := f(ctx)
		if settled(err) {
			return policy.Final(err)
		}
		return err
	})
}

// settled says whether another try of the same delivery is of no use: the app
// does not want it, or is not there, in which case the broker keeps it.
func settled(err error) bool { return errors.Is(err, errDrop) || isUnreachable(err) }

// tell says how a delivery ended.
func (s *session) tell(kind, component, topic string, began time.Time, err error) {
	if s.o.Delivered == nil {
		return
	}
	o := Outcome{Kind: kind, Component: component, Topic: topic, Status: "success", Took: time.Since(began)}
	switch {
	case errors.Is(err, errDrop):
		o.Status = "drop"
	case err != nil:
		o.Status = "retry"
	}
	s.o.Delivered(o)
}
