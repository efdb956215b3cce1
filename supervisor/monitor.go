package supervisor

import (
	"context"
	"reflect"
	"sync"
	"time"

	"mesh/runtime/apphealth"
	"mesh/supervisor/config"
)

// findingKind says what a monitor has found.
type findingKind int

const (
	foundLate   findingKind = iota // the app is not ready yet
	foundReady                     // it is, for the first time
	foundUnwell                    // its live check has failed too often
	foundLost                      // its ready check fails again, twice in a row
	foundSick                      // its health check has failed too often
	foundWell                      // its health check succeeds again
)

// finding is what a monitor tells the unit.
type finding struct {
	kind findingKind
	why  string
}

// standing is how a process stands when its checks begin, or begin anew.
type standing struct{ ready, sick bool }

// monitor runs the checks of one process: first until it is ready, then
// whether it is alive and healthy.
type monitor struct {
	found  chan finding
	cancel context.CancelFunc
	checks sync.WaitGroup
}

// watchOver starts the checks. was says how the process stands: it has been ready
// before, and then may have failed its health check. The caller ends the monitor.
func (u *unit) watchOver(ctx context.Context, d *desired, r readiness, was standing) *monitor {
	ctx, cancel := context.WithCancel(ctx)
	m := &monitor{found: make(chan finding), cancel: cancel}
	m.checks.Go(func() {
		if !was.ready {
			if r.wait(ctx, func(why string) { m.tell(ctx, finding{foundLate, why}) }) != nil {
				return
			}
			m.tell(ctx, finding{kind: foundReady})
		}
		if u.external && r.check != nil {
			m.checks.Go(func() {
				m.repeat(ctx, r.check, time.Second, r.timeout, 2, foundLost, foundWell, false)
			})
		}
		if p := d.app.Live; p != nil && !u.external {
			check := u.probe(p, d.app, r.env)
			m.checks.Go(func() { m.repeat(ctx, check, p.Interval, p.Timeout, p.Threshold, foundUnwell, foundWell, false) })
		}
		if h := d.app.Health; h != nil && u.at.app > 0 {
			app := apphealth.App{Addr: loopback(u.at.app), Protocol: d.app.Protocol, Path: h.Path, Token: u.tokens(d).app}
			m.checks.Go(func() { m.repeat(ctx, app.Ask, h.Interval, h.Timeout, h.Threshold, foundSick, foundWell, was.sick) })
		} else if was.sick { // nobody asks any more
			m.tell(ctx, finding{kind: foundWell})
		}
	})
	return m
}

// end stops the checks and waits for them.
func (m *monitor) end() {
	m.cancel()
	m.checks.Wait()
}

func (m *monitor) tell(ctx context.Context, f finding) {
	select {
	case m.found <- f:
	case <-ctx.Done():
	}
}

// repeat checks at an interval and tells bad after threshold failures in a row,
// and good when it succeeds after that, or for the first time when it was bad before.
func (m *monitor) repeat(ctx context.Context, c check, interval, timeout time.Duration, threshold int, bad, good findingKind, wasBad bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, timeout)
		err := c(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if failed++; failed == max(threshold, 1) {
				wasBad = true
				m.tell(ctx, finding{bad, err.Error()})
			}
		default:
			if wasBad {
				m.tell(ctx, finding{kind: good})
			}
			failed, wasBad = 0, false
		}
	}
}

// sameProbes says whether an app is checked as before.
func sameProbes(a, b *config.App) bool {
	return reflect.DeepEqual(a.Ready, b.Ready) && reflect.DeepEqual(a.Live, b.Live) && reflect.DeepEqual(a.Health, b.Health)
}
