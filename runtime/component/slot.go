package component

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mesh/runtime/resource"
)

// Pauses between attempts to start a degraded component.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 15 * time.Second
)

// pingTimeout is how long a running component may take to say that it is well.
const pingTimeout = 2 * time.Second

// slot is one declared component, started or not. While its declaration stays
// the same it passes from set to set.
type slot struct {
	*engine
	spec    resource.Component
	app     string // for one app alone, because its metadata names the app; empty: for all
	maker   maker
	secrets *slot  // its secret store; nil: it has none
	key     string // equal keys, equal components

	// cur is what serves. While the component does not start it may be that of
	// the declaration before this one; nil when there is none either.
	cur atomic.Pointer[unit]
	// turn counts how often units were renewed for the same declaration.
	turn atomic.Int64

	status struct {
		sync.Mutex
		err   error // of the last attempt, or of the last ping
		tries int
		next  time.Time
		busy  bool // an attempt is under way
		own   bool // cur is of this very declaration
		gone  bool // no set has the slot any more
	}

	audience audience

	reading struct {
		sync.Mutex
		units map[string]*unit // by app: what its subscriptions read from
	}
}

// property gives a metadata value as declared, its name in any case.
func (s *slot) property(name string) string {
	for _, p := range s.spec.Metadata {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// newSlot makes a slot that is not started.
func (g *engine) newSlot(spec *resource.Component, app string, m maker, secrets *slot) *slot {
	s := &slot{engine: g, spec: *spec, app: app, maker: m, secrets: secrets}
	s.reading.units = map[string]*unit{}
	s.key = s.identity()
	return s
}

// identity says in one string all that the running component depends on.
// Scopes are not part of it, nor are places.
func (s *slot) identity() string {
	props := make([]resource.Property, len(s.spec.Metadata))
	for i, p := range s.spec.Metadata {
		p.Place = resource.Place{}
		if p.Env != "" {
			p.Value, _ = s.opt.Env(p.Env)
		}
		props[i] = p
	}
	text, err := json.Marshal([]any{s.spec.Type, s.spec.Version, props, s.spec.InitTimeout, s.app})
	if err != nil {
		return err.Error() // strings and numbers always marshal
	}
	return fmt.Sprintf("%s %p", text, s.secrets)
}

// try starts the component and, when it starts, lets it serve.
func (s *slot) try(ctx context.Context) error {
	u, err := s.launch(ctx, s.app)
	s.status.Lock()
	defer s.status.Unlock()
	if err != nil {
		s.status.err = err
		s.status.tries++
		s.status.next = time.Now().Add(backoff(s.status.tries))
		return err
	}
	if s.status.gone {
		s.release(u)
		return nil
	}
	s.status.err, s.status.tries, s.status.next, s.status.own = nil, 0, time.Time{}, true
	s.release(s.cur.Swap(u))
	return nil
}

// begin makes the first attempt, and says so when it fails.
func (s *slot) begin(ctx context.Context) {
	if err := s.try(ctx); err != nil && ctx.Err() == nil {
		s.opt.Log.WarnContext(ctx, "component does not start, trying again", slog.String("component", s.spec.Name), slog.Any("error", err))
	}
}

// launch starts a unit of this declaration for an app; the caller releases it.
func (s *slot) launch(ctx context.Context, app string) (*unit, error) {
	base, err := s.metadata(ctx, app)
	if err != nil {
		return nil, err
	}
	return s.start(ctx, s.maker, base, s.spec.InitTimeout)
}

// inherit lets what served in an older slot serve in this one for the time
// being.
func (s *slot) inherit(old *slot) {
	if u := old.cur.Load(); u != nil && u.acquire() {
		s.cur.Store(u)
	}
}

// drop ends the slot: what serves closes with its last request.
func (s *slot) drop() {
	s.status.Lock()
	s.status.gone = true
	s.status.Unlock()
	s.release(s.cur.Swap(nil))
}

// hold gives what serves now, held for the caller.
func (s *slot) hold() (*unit, error) {
	for {
		u := s.cur.Load()
		if u == nil {
			s.status.Lock()
			defer s.status.Unlock()
			if s.status.gone {
				return nil, errGone
			}
			return nil, &DegradedError{Name: s.spec.Name, Type: s.spec.Type, Err: s.status.err, Next: s.status.next}
		}
		if u.acquire() {
			return u, nil
		}
		// It was replaced since: what replaced it is there already.
	}
}

// errGone says that the slot was swapped away: look again in the newest set.
var errGone = errors.New("the component was replaced")

// reader gives the unit from which an app's subscriptions read, held for the
// caller. It is not the one that serves, because a consumer group is fixed
// when a component starts, and each app is a group of its own.
func (s *slot) reader(ctx context.Context, app string) (*unit, error) {
	if s.maker.shared {
		return s.hold()
	}
	if s.maker.mixesUp {
		return s.launch(ctx, app)
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if u := s.reading.units[app]; u != nil && u.acquire() {
		return u, nil
	}
	u, err := s.launch(ctx, app)
	if err == nil {
		s.reading.units[app] = u
	}
	return u, err
}

// due says whether it is time for another attempt, and when it will be; zero
// when none is needed. A true answer is a claim: the caller calls recover.
func (s *slot) due(now time.Time) (bool, time.Time) {
	s.status.Lock()
	defer s.status.Unlock()
	if s.status.busy || s.status.gone || s.status.own || s.status.err == nil {
		return false, time.Time{}
	}
	if now.Before(s.status.next) {
		return false, s.status.next
	}
	s.status.busy = true
	return true, time.Time{}
}

// recover makes another attempt and says whether it succeeded.
func (s *slot) recover(ctx context.Context) bool {
	before := s.lastError()
	err := s.try(ctx)
	s.status.Lock()
	s.status.busy = false
	tries := s.status.tries
	s.status.Unlock()
	switch {
	case err == nil:
		s.opt.Log.InfoContext(ctx, "component is ready", slog.String("component", s.spec.Name))
		s.opt.Changed()
	case before == nil || before.Error() != err.Error():
		s.opt.Log.WarnContext(ctx, "component does not start", slog.String("component", s.spec.Name), slog.Int("tries", tries), slog.Any("error", err))
		s.opt.Changed()
	}
	return err == nil
}

func (s *slot) lastError() error {
	s.status.Lock()
	defer s.status.Unlock()
	return s.status.err
}

// ping asks a running component whether its server answers. Calls go to it in
// any case: it reconnects by itself and knows best. renewed says that another
// one has taken its place, because it may have given up.
func (s *slot) ping(ctx context.Context) (renewed bool) {
	u := s.cur.Load()
	if u == nil || u.ping == nil || !u.acquire() {
		return false
	}
	defer s.release(u)
	ctx, cancel := context.WithTimeoutCause(ctx, pingTimeout, fmt.Errorf("no answer within %v", pingTimeout))
	defer cancel()
	err := guard(func() error { return u.ping(ctx) })
	s.status.Lock()
	changed := s.status.own && (err == nil) != (s.status.err == nil)
	if changed {
		s.status.err, s.status.next = err, time.Time{}
	}
	s.status.Unlock()
	if !changed {
		return false
	}
	if err == nil && s.maker.givesUp {
		renewed = s.renew(ctx)
	}
	if err != nil {
		s.opt.Log.WarnContext(ctx, "component does not answer", slog.String("component", s.spec.Name), slog.Any("error", err))
	} else {
		s.opt.Log.InfoContext(ctx, "component answers again", slog.String("component", s.spec.Name))
	}
	s.opt.Changed()
	return renewed
}

// renew puts new units in the place of those that run, of the same declaration.
func (s *slot) renew(ctx context.Context) bool {
	if s.try(ctx) != nil {
		return false // what runs may recover yet; the next ping will tell
	}
	s.reading.Lock()
	clear(s.reading.units) // subscriptions hold them, until they have moved
	s.reading.Unlock()
	s.turn.Add(1)
	return true
}

// report tells how the component is; scopes are those of the newest set.
func (s *slot) report(scopes []string) Status {
	st := Status{
		Name: s.spec.Name, Type: s.spec.Type, Version: s.spec.Version, Kind: kindOf(s.spec.Type),
		App: s.app, Scopes: scopes, Place: s.spec.Place, Condition: Ready,
	}
	u := s.cur.Load()
	if u != nil {
		st.Capabilities, st.Began = u.capabilities, u.began
	}
	s.status.Lock()
	defer s.status.Unlock()
	if s.status.err != nil {
		st.Condition, st.Reason, st.Tries, st.Next = Degraded, s.status.err.Error(), s.status.tries, s.status.next
		if u != nil && !s.status.own {
			st.Condition = Outdated
		}
	}
	return st
}

// backoff gives the pause after a number of failures: it doubles up to a
// bound, give or take a fifth.
func backoff(tries int) time.Duration {
	d := retryMost
	if tries < 10 {
		d = min(d, retryFirst<<max(0, tries-1))
	}
	return d*4/5 + rand.N(d*2/5)
}

// isInput says whether the component is an input binding that its declaration
// wants to be read.
func (s *slot) isInput() bool {
	u := s.cur.Load()
	if u != nil && !slices.Contains(u.capabilities, "INPUT_BINDING") {
		return false
	}
	direction := s.property("direction")
	return direction == "" || strings.Contains(direction, "input")
}
