package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
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

func TestPeerThatComesBackIsCalledAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	o := outboundTo(t, false, func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	})
	for range 20 { // as many failures as would make the next attempt late
		if _, err := o.Handle(within(t), get("m")); err == nil {
			t.Fatal("there is an answer from nobody")
		}
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(ServerOptions()...)
	NewInbound(HandlerFunc(echo), InboundOptions{}).Register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	defer func() {
		s.Stop()
		<-done
	}()
	since := time.Now()
	for {
		r, err := o.Handle(within(t), get("m"))
		if err == nil {
			all(t, r)
			break
		}
		if time.Since(since) > patience {
			t.Fatal(err)
		}
	}
	if took := time.Since(since); took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
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
