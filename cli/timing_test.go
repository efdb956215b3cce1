package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mesh/supervisor/state"
)

func TestTimingNamesTheCriticalPath(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	app := func(id string, phase state.Phase, asked, started, up int, deps ...string) state.App {
		in := state.Instance{Name: id, Phase: phase, Startup: state.Startup{Asked: at(asked), Started: at(started)}}
		if phase == state.Ready || phase == state.Done {
			in.Startup.Ready = at(up)
		}
		a := state.App{ID: id, Instances: []state.Instance{in}}
		for _, d := range deps {
			a.DependsOn = append(a.DependsOn, state.Dependency{App: d, Condition: "ready"})
		}
		return a
	}
	m := &state.Mesh{Started: began, Apps: []state.App{
		app("cache", state.Ready, 0, 1, 50),
		app("db", state.Ready, 0, 1, 1200),
		app("migrate", state.Done, 0, 1201, 1500, "db"),
		app("slow", state.Starting, 0, 1, 0),
		app("web", state.Ready, 0, 1502, 1900, "cache", "migrate"),
		{ID: "added", Instances: []state.Instance{{Name: "added", Phase: state.Ready, ReadyAt: at(60_000)}}},
	}}
	m.Find("web").Instances[0].Started = at(50_000) // its process was started again
	m.Find("web").Instances[0].ReadyAt = at(51_000)
	var out bytes.Buffer
	if err := timing(&out, m); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if want := "critical path (*): db 1.199s > migrate 299ms > web 398ms; ready after 1.9s"; !strings.Contains(text, want) {
		t.Errorf("the output lacks %q:\n%s", want, text)
	}
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[1], "cache ") || !strings.HasPrefix(lines[4], "web*") || !strings.Contains(lines[5], "not yet") {
		t.Errorf("the rows are out of order:\n%s", text)
	}
	if strings.Contains(text, "added") {
		t.Errorf("an app that came later is among those of the start:\n%s", text)
	}
}
