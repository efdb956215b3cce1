package component

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"

	"mesh/runtime/resource"
)

// workshop is a Live of components that need nothing: their metadata say how long
// they take to start, and whether they do.
type workshop struct {
	*Live
	t    *testing.T
	stop func() // ends Run and waits for it
}

// made is what serves.
type made struct{ generation string }

func newWorkshop(t *testing.T) *workshop {
	w := &workshop{Live: New(Options{}), t: t}
	w.types = func() map[string]maker { return map[string]maker{"state.in-memory": {new: newMade}} }
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	w.stop = func() {
		end()
		running.Wait()
	}
	return w
}

func newMade(logger.Logger) backend {
	m := &made{}
	return backend{
		raw: m, close: func() error { return nil }, capabilities: func() []string { return nil },
		init: func(ctx context.Context, md metadata.Base) error {
			took, err := time.ParseDuration(md.Properties["takes"])
			if err != nil {
				return err
			}
			select {
			case <-time.After(took):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			m.generation = md.Properties["generation"]
			if m.generation == "down" {
				return errors.New("its server is down")
			}
			return nil
		},
	}
}

func part(name, generation, takes string) resource.Component {
	return declare(name, "state.in-memory", "generation", generation, "takes", takes)
}

// begin applies in the background; done has how that ended.
func (w *workshop) begin(ctx context.Context, specs ...resource.Component) (done chan error) {
	done = make(chan error, 1)
	go func() { done <- w.Apply(ctx, Desired{Components: specs, Apps: []string{"app"}}) }()
	return done
}

// after a while these are the generations that serve, and nothing else does.
func (w *workshop) after(while time.Duration, want map[string]string) {
	w.t.Helper()
	time.Sleep(while)
	synctest.Wait()
	got := map[string]string{}
	for _, s := range w.Status() {
		m, _, done, err := use[*made](w.App("app"), KindState, s.Name)
		if err != nil {
			got[s.Name] = string(s.Condition)
			continue
		}
		got[s.Name] = m.generation
		done()
	}
	for name := range got {
		if got[name] != want[name] {
			w.t.Errorf("after %v more %s serves as %q, want %q", while, name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("after %v more there are %v, want %v", while, got, want)
	}
}

func (w *workshop) ended(done chan error, want error) {
	w.t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		if !errors.Is(err, want) {
			w.t.Errorf("it ends with %v, want %v", err, want)
		}
	default:
		w.t.Error("it has not ended")
	}
}

// TestSlowComponentsDelayOnlyThemselves: of the components of one edit each serves
// when it has started; only Apply waits for all.
func TestSlowComponentsDelayOnlyThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(t)
		defer w.stop()
		done := w.begin(t.Context(), part("quick", "1", "1ms"), part("slow", "1", "1ms"), part("down", "1", "1ms"), part("gone", "1", "1ms"))
		w.after(10*time.Millisecond, map[string]string{"quick": "1", "slow": "1", "down": "1", "gone": "1"})
		w.ended(done, nil)

		done = w.begin(t.Context(), part("quick", "2", "200ms"), part("slow", "2", "2s"), part("down", "down", "4s"), part("late", "1", "3s"))
		w.after(100*time.Millisecond, map[string]string{"quick": "1", "slow": "1", "down": "1", "gone": "1"})
		w.after(200*time.Millisecond, map[string]string{"quick": "2", "slow": "1", "down": "1"})
		w.after(2*time.Second, map[string]string{"quick": "2", "slow": "2", "down": "1"})
		w.after(time.Second, map[string]string{"quick": "2", "slow": "2", "down": "1", "late": "1"})
		if s := status(t, w.Live, "down"); s.Condition != Ready || len(done) > 0 {
			t.Errorf("while the last one is tried: %+v (ended: %v)", s, len(done) > 0)
		}
		w.after(time.Second, map[string]string{"quick": "2", "slow": "2", "down": "1", "late": "1"})
		w.ended(done, nil)
		if s := status(t, w.Live, "down"); s.Condition != Outdated || s.Tries != 1 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestApplyIsTakenBackOrGoesThrough: who asks for components may give up until the
// first of them serve.
func TestApplyIsTakenBackOrGoesThrough(t *testing.T) {
	for _, tc := range []struct {
		patience time.Duration
		end      error
		want     map[string]string
	}{
		{100 * time.Millisecond, context.DeadlineExceeded, map[string]string{"quick": "1", "slow": "1"}},
		{time.Second, nil, map[string]string{"quick": "2", "slow": "2", "late": "1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorkshop(t)
			defer w.stop()
			w.ended(w.begin(t.Context(), part("quick", "1", "0s"), part("slow", "1", "0s")), nil)
			ctx, cancel := context.WithTimeout(t.Context(), tc.patience)
			defer cancel()
			done := w.begin(ctx, part("quick", "2", "1ms"), part("slow", "2", "2s"), part("late", "1", "3s"))
			w.after(4*time.Second, tc.want)
			w.ended(done, tc.end)
		})
	}
}

// TestApplyEndsWithRun: nobody waits at the end for components that do not start.
func TestApplyEndsWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(t)
		done := w.begin(t.Context(), part("quick", "1", "1ms"), part("slow", "1", "4s"))
		w.after(time.Second, map[string]string{"quick": "1"})
		before := time.Now()
		w.stop()
		if took := time.Since(before); took > 0 {
			t.Errorf("the end takes %v", took)
		}
		w.ended(done, ErrEnded)
		w.after(0, map[string]string{})
	})
}
