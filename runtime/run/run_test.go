package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary notes what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

// soFar gives a copy of what was noted.
func (d *diary) soFar() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// member runs until it is stopped and then takes a while.
func (d *diary) member(name string, takes time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		d.note(name + " stops")
		after(takes)
		d.note(name + " stopped")
		return ctx.Err()
	}
}

func after(d time.Duration) { <-time.After(d) }

func TestStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var g Group
		for _, name := range []string{"a", "b", "c"} {
			g.Add(name, d.member(name, time.Second))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		want := []string{"c stops", "c stopped", "b stops", "b stopped", "a stops", "a stopped"}
		if !slices.Equal(d.soFar(), want) {
			t.Errorf("order %v", d.soFar())
		}
	})
}

func TestMembersLearnWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("removed from mesh.toml")
		var g Group
		var got error
		g.Add("a", func(ctx context.Context) error {
			<-ctx.Done()
			got = context.Cause(ctx)
			return got // as many do; it is no failure
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if !errors.Is(got, why) {
			t.Errorf("the cause was %v", got)
		}
	})
}

func TestFirstToReturnStopsTheRest(t *testing.T) {
	boom := errors.New("boom")
	for _, err := range []error{nil, boom} {
		synctest.Test(t, func(t *testing.T) {
			var d diary
			var g Group
			var cause error
			g.Add("a", d.member("a", 0))
			g.Add("b", func(context.Context) error {
				after(time.Second)
				return err
			})
			g.Add("c", func(ctx context.Context) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return nil
			})
			got := g.Run(t.Context())
			if !errors.Is(got, err) || (err != nil && got.Error() != "b: boom") {
				t.Errorf("error %v", got)
			}
			if cause == nil || !strings.HasPrefix(cause.Error(), "b") {
				t.Errorf("the others were told %v", cause)
			}
			if !slices.Equal(d.soFar(), []string{"a stops", "a stopped"}) {
				t.Errorf("order %v", d.soFar())
			}
		})
	}
}

func TestEveryFailureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		for _, name := range []string{"a", "b"} {
			g.Add(name, func(ctx context.Context) error {
				<-ctx.Done()
				return errors.New(name + " could not save")
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Run(ctx); err == nil || err.Error() != "b: b could not save\na: a could not save" {
			t.Errorf("error %v", err)
		}
	})
}

func TestStuckMemberIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		g := Group{Grace: 5 * time.Second}
		g.Add("a", d.member("a", time.Second))
		g.Add("deaf", d.member("deaf", time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := g.Run(ctx)
		stuck, ok := errors.AsType[*StuckError](err)
		if !ok || stuck.Name != "deaf" || stuck.Error() != "deaf did not stop within 5s" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("it took %v", took)
		}
		if !slices.Contains(d.soFar(), "a stopped") {
			t.Errorf("the rest was not stopped: %v", d.soFar())
		}
		after(time.Minute) // let it go
	})
}

func TestPanicStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var g Group
		g.Add("a", d.member("a", 0))
		g.Add("b", func(context.Context) error { panic("oh no") })
		err := g.Run(t.Context())
		p, ok := errors.AsType[*PanicError](err)
		if !ok || p.Value != "oh no" || !strings.Contains(err.Error(), "b: panic: oh no") || !strings.Contains(err.Error(), "run_test.go") {
			t.Errorf("error %v", err)
		}
		if !slices.Equal(d.soFar(), []string{"a stops", "a stopped"}) {
			t.Errorf("order %v", d.soFar())
		}
	})
}

func TestEmptyGroupWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		var g Group
		if err := g.Run(ctx); err != nil || time.Since(start) != time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(start))
		}
	})
}
