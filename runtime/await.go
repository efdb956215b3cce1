package runtime

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"mesh/runtime/appchan"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// await waits while several instances could take a call and none is ready,
// until one is, or all refuse. A call must not wait at an instance that keeps
// failing while another one comes up. A single instance's own gate does that.
func (g *peerGroup) await(ctx context.Context, f *flow.Flow) error {
	if len(g.all) < 2 || !g.waits() {
		return nil
	}
	leave, hold, err := g.firstHeld().Queue(f)
	if err != nil {
		return err
	}
	defer leave()
	limit := time.NewTimer(hold)
	defer limit.Stop()
	for {
		// The channels first, then the look: a change in between is not missed.
		cases := []reflect.SelectCase{
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(limit.C)},
		}
		for _, s := range g.all {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(s.app.Moved())})
		}
		if !g.waits() {
			return nil
		}
		switch chosen, _, _ := reflect.Select(cases); chosen {
		case 0:
			return context.Cause(ctx)
		case 1:
			id := g.all[0].o.AppID
			return &stream.UnreachableError{Addr: id, Err: fmt.Errorf("none of the %d instances of %s became ready within %v", len(g.all), id, hold)}
		}
	}
}

// firstHeld gives the instance at which a waiting call is counted.
func (g *peerGroup) firstHeld() *appchan.App {
	for _, s := range g.all {
		if !s.app.Ready() && !s.app.Refuses() {
			return s.app
		}
	}
	return g.all[0].app
}

// waits says whether no instance takes calls but one may yet.
func (g *peerGroup) waits() bool {
	held := false
	for _, s := range g.all {
		switch {
		case s.app.Ready():
			return false
		case !s.app.Refuses():
			held = true
		}
	}
	return held
}
