package deliver

import "testing"

func TestInputBinding(t *testing.T) {
	w := newWorld(t)
	a, b := &app{id: "ticked"}, &app{id: "deaf"}
	w.run(a)
	w.run(b)
	if d := next(t, a.got); d.path != "tick" {
		t.Errorf("the binding's event goes to %s", d.path)
	}
	next(t, a.got)
	if len(b.got) > 0 {
		t.Error("an app that does not want the binding gets its events")
	}
}

// TestDirectionOfBindings: an app is not asked for a binding that is declared as
// an input.
func TestDirectionOfBindings(t *testing.T) {
	w := newWorld(t)
	a := &app{id: "pushed"}
	w.run(a)
	if d := next(t, a.got); d.path != "push/here" {
		t.Errorf("the event goes to %s", d.path)
	}
}
