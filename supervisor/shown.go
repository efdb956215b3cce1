package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mesh/supervisor/logs"
	"mesh/supervisor/state"
)

// publish shows a new state. Only the loop, and New before it, call it.
func (s *Supervisor) publish() {
	s.version++
	shownComponents := s.shownComponents() // which may have something to notice
	m := &state.Mesh{
		Version: s.version, Name: s.cfg.Name, Dir: s.cfg.Dir, File: s.cfg.File, PID: s.o.PID,
		Started: s.started, Transport: s.cfg.Transport, Notices: slices.Clone(s.notices), Stopping: s.stop,
		Components: shownComponents, Faults: s.shownFaults(), Capture: s.o.Flows.Capturing(), Edit: s.edits.last, Review: s.edits.review,
	}
	for i := range s.cfg.Apps {
		c := &s.cfg.Apps[i]
		if !s.wanted(s.cfg, c.ID) {
			continue
		}
		app := state.App{ID: c.ID, External: s.external(c), Protocol: c.Protocol}
		for _, d := range c.DependsOn {
			app.DependsOn = append(app.DependsOn, state.Dependency{App: d.App, Condition: d.Condition})
		}
		m.Apps = append(m.Apps, app)
	}
	for _, u := range s.units {
		a := m.Find(u.app)
		if a == nil { // removed, and still stopping
			m.Apps = append(m.Apps, state.App{ID: u.app, External: u.external, Protocol: u.config().Protocol})
			a = &m.Apps[len(m.Apps)-1]
		}
		a.Instances = append(a.Instances, u.shown)
	}
	slices.SortFunc(m.Apps, func(a, b state.App) int { return strings.Compare(a.ID, b.ID) })
	old := s.shown.Swap(&shown{mesh: m, next: make(chan struct{})})
	if old != nil {
		close(old.next)
	}
}

const (
	// countEvery is how often calls in flight are counted.
	countEvery = time.Second
	// usageAge is how old the usage of a process gets before it is measured
	// again, every second time calls are counted: it is a third of what an idle
	// mesh costs.
	usageAge = 3 * countEvery / 2
)

// measure refreshes what changes all the time: CPU, memory, calls in flight.
func (s *Supervisor) measure() (changed bool) {
	for _, u := range s.units {
		if u.measure() {
			changed = true
		}
	}
	return changed
}

// notice adds a notice, or replaces the one of the same code and app.
func (s *Supervisor) notice(n state.Notice) {
	s.withdraw(n.Code, n.App)
	n.At = time.Now()
	s.notices = append(s.notices, n)
}

// withdraw takes a notice back.
func (s *Supervisor) withdraw(code, app string) {
	s.notices = slices.DeleteFunc(s.notices, func(n state.Notice) bool { return n.Code == code && n.App == app })
}

// withdrawShown takes a notice back that has been shown that long.
func (s *Supervisor) withdrawShown(code, app string, long time.Duration) {
	s.notices = slices.DeleteFunc(s.notices, func(n state.Notice) bool {
		return n.Code == code && n.App == app && time.Since(n.At) >= long
	})
}

// say adds a line of our own to an app's log.
func (s *Supervisor) say(app, instance, format string, args ...any) {
	s.o.Logs.Append(app, instance, logs.StreamMesh, fmt.Sprintf(format, args...), time.Now(), false)
}

// Note tells the user something that is as it should be.
func (s *Supervisor) Note(code, text, hint string) {
	s.post(func() { s.notice(state.Notice{Level: "info", Code: code, Text: text, Hint: hint}) })
}

// Environ gives the variables that mesh adds to the environment of an app's
// first instance, for someone who starts it himself. Call it before Run.
func (s *Supervisor) Environ(app string) []string {
	for _, u := range s.of(app) {
		d := u.want.Load()
		return childEnv(nil, d.mesh, d.app, u.at, u.tokens(d), s.siblings())
	}
	return nil
}

// Warn shows something that the user should know, and what to do about it.
func (s *Supervisor) Warn(code, text, hint string) {
	s.post(func() { s.notice(state.Notice{Level: "warning", Code: code, Text: text, Hint: hint}) })
}
