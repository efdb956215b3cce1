package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"mesh/runtime/stream"
)

// Fault disturbs calls on purpose, to see how an app takes it.
type Fault struct {
	Name      string        `json:"name"`
	Target    string        `json:"target"`              // app id; "": every app
	Delay     time.Duration `json:"delay,omitempty"`     // before the call goes on
	Rate      float64       `json:"rate,omitempty"`      // share of the calls that are hit; 0 means all
	Abort     int           `json:"abort,omitempty"`     // HTTP status to answer with, instead of calling
	Bandwidth int64         `json:"bandwidth,omitempty"` // bytes per second of the request and of the reply
	CutAfter  int64         `json:"cut_after,omitempty"` // bytes of the reply after which it breaks off
	Off       bool          `json:"off,omitempty"`
	Hand      bool          `json:"hand,omitempty"` // made by a command, not in mesh.toml
}

// Faults is the set of faults of a mesh, shared by its sidecars. It can be
// changed while calls run; a call sees the set as it was when it began.
type Faults struct{ set atomic.Pointer[[]Fault] }

// Set replaces the faults.
func (f *Faults) Set(faults []Fault) {
	if len(faults) == 0 {
		f.set.Store(nil)
		return
	}
	f.set.Store(&faults)
}

// All gives the faults; the slice is not to be changed.
func (f *Faults) All() []Fault {
	if s := f.set.Load(); s != nil {
		return *s
	}
	return nil
}

// ErrCut is how a reply breaks off that a fault has cut.
var ErrCut = errors.New("cut off by a fault")

// Wrap puts the faults before next. Without any it costs one load per call.
func (f *Faults) Wrap(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		set := f.set.Load()
		if set == nil {
			return next.Handle(ctx, c)
		}
		h := next
		for _, one := range *set {
			if one.hits(target(c.AppID), rand.Float64()) { //nolint:gosec // disturbing calls, not guarding secrets
				h = one.wrap(h)
			}
		}
		return h.Handle(ctx, c)
	})
}

// hits says whether the fault concerns a call; draw is a random number in [0,1).
func (f Fault) hits(app string, draw float64) bool {
	return !f.Off && (f.Target == "" || f.Target == app) && (f.Rate <= 0 || draw < f.Rate)
}

func (f Fault) wrap(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		if !pause(ctx, f.Delay) {
			return nil, context.Cause(ctx)
		}
		if f.Abort > 0 {
			return f.refusal(), nil
		}
		if f.Bandwidth > 0 && c.Body != nil {
			call := *c
			call.Body = &narrowBody{Reader: c.Body, ctx: ctx.Done(), pace: pace{rate: f.Bandwidth}}
			c = &call
		}
		r, err := next.Handle(ctx, c)
		if err != nil || (f.Bandwidth <= 0 && f.CutAfter <= 0) {
			return r, err
		}
		reply := *r
		reply.Body = &faultyBody{ReadCloser: r.Body, ctx: ctx.Done(), pace: pace{rate: f.Bandwidth}, cut: f.CutAfter > 0, left: f.CutAfter}
		return &reply, nil
	})
}

func (f Fault) refusal() *stream.Reply {
	body := fmt.Sprintf(`{"errorCode":"ERR_FAULT","message":"answered by the fault %s"}`, f.Name)
	return &stream.Reply{
		Status: f.Abort, Length: int64(len(body)), Body: io.NopCloser(bytes.NewReader([]byte(body))),
		Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}},
	}
}

// pace is the rate at which a body flows.
type pace struct {
	rate  int64 // bytes per second; 0: any
	begun time.Time
	sent  int64
}

// wait returns when more may be read, or ctx has ended, and how much of p: there
// are about twenty pieces a second.
func (l *pace) wait(ctx <-chan struct{}, p []byte) []byte {
	if l.rate <= 0 {
		return p
	}
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	due := l.begun.Add(time.Duration(float64(l.sent) / float64(l.rate) * float64(time.Second)))
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx:
	}
	return p[:min(int64(len(p)), max(1, l.rate/20))]
}

// narrowBody is a request's body at a limited rate.
type narrowBody struct {
	io.Reader
	ctx  <-chan struct{}
	pace pace
}

func (b *narrowBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(b.pace.wait(b.ctx, p))
	b.pace.sent += int64(n)
	return n, err
}

// faultyBody is a reply's body at a limited rate, or up to a limited length.
type faultyBody struct {
	io.ReadCloser
	ctx  <-chan struct{}
	pace pace
	cut  bool
	left int64
}

func (b *faultyBody) Read(p []byte) (int, error) {
	if b.cut {
		if b.left <= 0 {
			return 0, ErrCut
		}
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.ReadCloser.Read(b.pace.wait(b.ctx, p))
	b.pace.sent += int64(n)
	b.left -= int64(n)
	return n, err
}
