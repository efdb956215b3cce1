package filter

import (
	"fmt"
	"strconv"
	"time"

	"mesh/runtime/flow"
)

// How long a flow may be silent before it is called idle, and a write may wait
// before the flow is called stalled.
const (
	idleAfter  = time.Second
	stallAfter = 250 * time.Millisecond
)

// State is what a flow is doing.
type State uint8

// The states of a flow.
const (
	Flowing State = iota // bytes pass
	Waiting              // for the reply to begin
	Idle                 // the producer sends nothing
	Stalled              // the next hop does not read
	Holding              // waiting for the app to be ready
	Done                 // ended well
	Failed               // broken off, or a status of 500 and above
)

// Diagnosis says what a flow is doing and who is the cause.
type Diagnosis struct {
	State State
	Who   string        // whom the flow waits for, when it waits
	For   time.Duration // how long it has been waiting
	Why   Cause         // when Stalled
	Dir   flow.Dir      // where it waits, when Stalled
	Hop   flow.Hop
}

// Cause is what holds bytes up.
type Cause uint8

// The causes of a stall.
const (
	Unread Cause = iota // an app does not read
	Window              // gRPC's flow-control window between two sidecars is used up
	Queued              // a sidecar has bytes that it does not pass on, though nothing keeps it from writing
)

// Diagnose finds out what the flow is doing from its counters.
func Diagnose(v *flow.View) Diagnosis {
	switch {
	case !v.Live && (v.Broken() || v.Status >= 500):
		return Diagnosis{State: Failed}
	case !v.Live:
		return Diagnosis{State: Done}
	case v.Holding:
		return Diagnosis{State: Holding, Who: v.Callee, For: v.Held}
	}
	if d, ok := stall(v); ok {
		return d
	}
	if d, ok := queued(v); ok {
		return d
	}
	silent := v.Age - last(v)
	if _, replied := TTFB(v); !replied {
		if silent < stallAfter {
			return Diagnosis{State: Flowing}
		}
		return Diagnosis{State: Waiting, Who: Callee(v), For: silent}
	}
	if silent >= idleAfter {
		who := Callee(v)
		if Bytes(v, flow.Reply) == 0 && Bytes(v, flow.Request) > 0 && !ended(v, flow.Request) {
			who = caller(v) // the head of the reply came early, the body is still the caller's
		}
		return Diagnosis{State: Idle, Who: who, For: silent}
	}
	return Diagnosis{State: Flowing}
}

// stall finds the write that has to wait for its reader. When several hops of
// one direction wait, the one nearest to the reader is the cause and the
// others only feel it.
func stall(v *flow.View) (d Diagnosis, ok bool) {
	for dir := flow.Request; dir <= flow.Reply; dir++ {
		for _, hop := range Route(dir) {
			l, seen := v.Lane(dir, hop)
			if !seen || l.Blocked <= 0 || v.Age-l.Blocked < stallAfter {
				continue
			}
			if d.Dir == dir || v.Age-l.Blocked > d.For {
				d, ok = Diagnosis{State: Stalled, Who: reader(v, dir, hop), For: v.Age - l.Blocked, Dir: dir, Hop: hop}, true
				if Wire(dir, hop) {
					d.Why = Window
				}
			}
		}
	}
	return d, ok
}

// Wire says whether what a hop writes goes to another sidecar.
func Wire(dir flow.Dir, hop flow.Hop) bool {
	return dir == flow.Request && hop == flow.CallerOut || dir == flow.Reply && hop == flow.CalleeOut
}

// queued finds bytes that a sidecar has read and neither written nor begun to
// write for a while: it gathers a whole body, or waits for a connection.
func queued(v *flow.View) (d Diagnosis, ok bool) {
	if v.Kind != "http" && v.Kind != "grpc" && v.Kind != "" {
		return d, false // components take whole values
	}
	for dir := flow.Request; dir <= flow.Reply; dir++ {
		route := Route(dir)
		_, wire1 := v.Lane(dir, route[1])
		_, wire2 := v.Lane(dir, route[2])
		pairs := [][2]flow.Hop{{route[0], route[1]}, {route[2], route[3]}}
		if !wire1 && !wire2 && v.Transport == "local" {
			pairs = [][2]flow.Hop{{route[0], route[3]}}
		}
		for _, p := range pairs {
			in, _ := v.Lane(dir, p[0])
			out, _ := v.Lane(dir, p[1])
			since := max(in.First, out.Last)
			if in.Bytes > out.Bytes && out.Blocked == 0 && v.Age-since >= stallAfter && v.Age-since > d.For {
				who := caller(v)
				if p[0] == flow.CalleeIn {
					who = Callee(v)
				}
				d, ok = Diagnosis{State: Stalled, Who: who + "'s sidecar", For: v.Age - since, Why: Queued, Dir: dir, Hop: p[1]}, true
			}
		}
	}
	return d, ok
}

// Route gives the hops in the order in which bytes of that direction meet them.
func Route(d flow.Dir) [4]flow.Hop {
	if d == flow.Reply {
		return [4]flow.Hop{flow.CalleeIn, flow.CalleeOut, flow.CallerIn, flow.CallerOut}
	}
	return [4]flow.Hop{flow.CallerIn, flow.CallerOut, flow.CalleeIn, flow.CalleeOut}
}

// reader names who has to read what a hop writes.
func reader(v *flow.View, dir flow.Dir, hop flow.Hop) string {
	if dir == flow.Request {
		if hop == flow.CallerOut {
			return v.Callee + "'s sidecar"
		}
		return Callee(v)
	}
	if hop == flow.CalleeOut {
		return caller(v) + "'s sidecar"
	}
	return caller(v)
}

// Words says it in words: "stalled: bill not reading 2.1s".
func (d Diagnosis) Words(v *flow.View) string {
	switch d.State {
	case Flowing:
		return "flowing"
	case Waiting:
		return "waiting for " + d.Who + " " + Seconds(d.For)
	case Idle:
		return "idle " + Seconds(d.For) + ": " + d.Who + " sends nothing"
	case Stalled:
		switch d.Why {
		case Window:
			return "stalled: window to " + d.Who + " used up " + Seconds(d.For)
		case Queued:
			return "stalled: held in " + d.Who + " " + Seconds(d.For)
		case Unread:
		}
		return "stalled: " + d.Who + " not reading " + Seconds(d.For)
	case Holding:
		return "holding " + Seconds(d.For) + ": " + d.Who + " is not ready"
	case Done, Failed:
	}
	if v.Broken() {
		return "broken off: " + v.Err
	}
	words := "done"
	if v.Status != 0 {
		words = strconv.Itoa(v.Status)
	}
	words += " in " + Seconds(v.Age)
	if v.Err != "" {
		words += ": " + v.Err
	}
	return words
}

// Seconds writes a time in at most six characters, such as "840µs", "12ms",
// "2.1s", "3m05s" or "2h04m".
func Seconds(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d.Microseconds()/100)/10, 'f', 1, 64) + "ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d.Milliseconds()/100)/10, 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
