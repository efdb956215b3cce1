package names

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// registry is what sources register with, as Consul would have it.
type registry struct {
	mu   sync.Mutex
	here []string // the sources that are registered
	log  []string // what has happened
}

// maker makes sources that take a second to register, and half a second to take
// that back.
func (r *registry) maker(w Want) (Resolver, func(context.Context) error) {
	address, _ := w.Config.(string)
	l := NewLate(w.Kind, slog.New(slog.DiscardHandler), func(context.Context) (Started, error) {
		time.Sleep(time.Second) // of the bubble
		r.mu.Lock()
		defer r.mu.Unlock()
		r.log = append(r.log, "+"+w.Kind+" "+address)
		r.here = append(r.here, address)
		return &entry{book{apps: map[string]string{"a": address}}, r, w.Kind}, nil
	})
	return l, l.Run
}

type entry struct {
	book
	r    *registry
	kind string
}

func (e *entry) Close() error {
	time.Sleep(500 * time.Millisecond) // of the bubble
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	e.r.log = append(e.r.log, "-"+e.kind+" "+e.apps["a"])
	e.r.here = slices.DeleteFunc(e.r.here, func(a string) bool { return a == e.apps["a"] })
	return nil
}

func TestFinderExchangesSourcesWithoutLosingACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		var kinds []string
		f := NewFinder(r.maker, slog.New(slog.DiscardHandler), func(k []string) { kinds = k })
		f.Set([]Want{{Kind: "consul", Config: "127.0.0.1:1"}, {Kind: "sqlite", Config: "127.0.0.1:2"}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		find := func() string {
			addrs, err := f.Resolve(t.Context(), "a")
			if err != nil || len(addrs) == 0 {
				t.Errorf("a call is told of %v, %v", addrs, err)
				return ""
			}
			return addrs[0].String()
		}
		if got := find(); got != "127.0.0.1:1" { // asked before anything has begun
			t.Errorf("a is at %s", got)
		}
		f.Set([]Want{{Kind: "sqlite", Config: "127.0.0.1:2"}, {Kind: "consul", Config: "127.0.0.1:3"}})
		synctest.Wait()
		if got := find(); got != "127.0.0.1:2" {
			t.Errorf("after the order has changed, a is at %s", got)
		}
		time.Sleep(5 * time.Second) // until all is as it should be
		f.Set([]Want{{Kind: "consul", Config: "127.0.0.1:4"}})
		synctest.Wait()
		if got := find(); got != "127.0.0.1:4" { // waits until the new one has begun
			t.Errorf("after an exchange, a is at %s", got)
		}
		stop()
		if err := <-ended; err != nil || len(r.here) > 0 {
			t.Errorf("it ended with %v and leaves %v registered", err, r.here)
		}
		if !slices.Equal(kinds, []string{"consul"}) {
			t.Errorf("the sources in use are said to be %v", kinds)
		}
		// A source that stays is not touched; one that goes, goes first.
		log := strings.Join(r.log, ", ")
		for _, want := range []string{"-consul 127.0.0.1:1, +consul 127.0.0.1:3", "-consul 127.0.0.1:3, +consul 127.0.0.1:4, -consul 127.0.0.1:4"} {
			if !strings.Contains(strings.ReplaceAll(log, ", -sqlite 127.0.0.1:2", ""), want) {
				t.Errorf("no %q in what has happened: %s", want, log)
			}
		}
		if strings.Count(log, "+sqlite") != 1 {
			t.Errorf("a source that stays was started again: %s", log)
		}
	})
}

func TestFinderWithoutSources(t *testing.T) {
	f := NewFinder(func(Want) (Resolver, func(context.Context) error) { return &book{err: errors.New("asked")}, nil }, slog.New(slog.DiscardHandler), nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	if addrs, err := f.Resolve(ctx, "a"); err != nil || len(addrs) > 0 {
		t.Errorf("nobody says %v, %v", addrs, err)
	}
	if said, found := f.Explain(ctx, "a"); found || len(said) != 1 || !strings.Contains(said[0], "nobody is asked") {
		t.Errorf("it is explained as %v", said)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestExpandTakesStandards(t *testing.T) {
	variable := func(name string) string { return map[string]string{"SET": "yes"}[name] }
	if got := Expand("${SET:-no} ${UNSET:-http://x} ${UNSET}", variable); got != "yes http://x " {
		t.Errorf("it becomes %q", got)
	}
}
