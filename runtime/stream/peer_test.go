package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
)

func TestUnreachablePeerLeavesTheBodyAlone(t *testing.T) {
	eachWay(t, func(t *testing.T, unary bool) {
		o, err := NewOutbound(OutboundOptions{Addr: "127.0.0.1:1", Unary: unary})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = o.Close() }()
		body := &counted{r: strings.NewReader("x")}
		_, err = o.Handle(within(t), post(body, -1))
		var gone *UnreachableError
		if !errors.As(err, &gone) || gone.Addr != "127.0.0.1:1" {
			t.Errorf("error %v", err)
		}
		if body.count() != 0 {
			t.Error("the body was read")
		}
	})
}

// A peer that was away for long must not be waited for any longer than it was:
// whoever calls tries to connect, however often that has failed before.
func TestPeerThatComesBackIsCalledAtOnce(t *testing.T) {
	var dials atomic.Int32
	var back atomic.Bool
	s := grpc.NewServer(ServerOptions()...)
	NewInbound(HandlerFunc(echo), InboundOptions{}).Register(s)
	dial := serve(t, s)
	o := outboundTo(t, false, func(ctx context.Context, addr string) (net.Conn, error) {
		dials.Add(1)
		if !back.Load() {
			return nil, syscall.ECONNREFUSED
		}
		return dial(ctx, addr)
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const calls = 40 // in 0.8 s, in which a growing pause leaves room for five
	for range calls {
		if _, err := o.Handle(within(t), get("m")); err == nil {
			t.Fatal("there is an answer from nobody")
		}
		<-tick.C
	}
	if n := dials.Load(); n < calls/2 {
		t.Errorf("%d calls tried to connect %d times", calls, n)
	}
	back.Store(true)
	for end := time.Now().Add(patience); ; <-tick.C {
		r, err := o.Handle(within(t), get("m"))
		if err == nil {
			all(t, r)
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestUnaryNamesItsLimit(t *testing.T) {
	o := pair(t, true, HandlerFunc(echo))
	_, err := o.Handle(within(t), post(errReader{io.ErrUnexpectedEOF}, maxUnary+1))
	large, ok := errors.AsType[*TooLargeError](err)
	if !ok || large.What != "request" || !strings.Contains(err.Error(), strconv.Itoa(maxUnary)) {
		t.Errorf("error %v", err)
	}
	o = pair(t, true, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		return &Reply{Status: 200, Header: http.Header{}, Length: maxUnary + 1, Body: http.NoBody}, nil
	}))
	if _, err = o.Handle(within(t), get("m")); err == nil || !strings.Contains(err.Error(), "the reply body is larger") {
		t.Errorf("error %v", err)
	}
}
