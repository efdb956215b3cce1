package appchan

import "context"

// watched is what the context of a call may be: it tells one at a time that it
// has ended, without the allocations of context.AfterFunc. Watch gives false
// when it cannot, Unwatch when it has told.
type watched interface {
	Watch(a interface{ Abort(why error) }) bool
	Unwatch() bool
}

// watch has the exchange aborted when ctx ends.
func (x *exchange) watch(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	if w, ok := ctx.(watched); ok && w.Watch(x) {
		x.watched = w
		return
	}
	x.unwatched = context.AfterFunc(ctx, func() { x.Abort(context.Cause(ctx)) })
}

// unwatch ends the watch. It gives false when ctx has ended before.
func (x *exchange) unwatch() bool {
	switch {
	case x.watched != nil:
		w := x.watched
		x.watched = nil
		return w.Unwatch()
	case x.unwatched != nil:
		return x.unwatched()
	}
	return true
}
