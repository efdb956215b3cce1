package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// waits serves calls that say hello and then wait for what becomes of them, which
// ends tells.
func waits(ends chan<- error) func(*Stream) error {
	return func(s *Stream) error {
		if err := s.Send(pieces([]byte("hello")), 0); err != nil {
			return err
		}
		var err error
		for err == nil {
			_, err = recvText(s)
		}
		<-s.Context().Done()
		ends <- errors.Join(err, context.Cause(s.Context()))
		return err
	}
}

// waiting opens a call of waits that has been taken.
func waiting(ctx context.Context, t *testing.T, cl *Client) *Stream {
	t.Helper()
	s, err := cl.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(errTest) })
	sendText(t, s, "hello", 0)
	wantText(t, s, "hello")
	return s
}

// However a caller gives a call up, the far end hears of it, and both receiving and
// sending end here.
func TestCallerGivesUp(t *testing.T) {
	why := errors.New("had enough")
	for name, giveUp := range map[string]func(s *Stream, cancel func(error)){
		"context": func(_ *Stream, cancel func(error)) { cancel(why) },
		"abort":   func(s *Stream, _ func(error)) { s.Abort(why) },
		"close":   func(s *Stream, _ func(error)) { s.Close(why) },
	} {
		for _, busy := range []string{"receiving", "sending"} {
			t.Run(name+" while "+busy, func(t *testing.T) {
				onBoth(t, func(t *testing.T, on carrier) {
					ends := make(chan error, 1)
					stuck := make(chan struct{})
					cl := pair(t, on, func(s *Stream) error {
						if busy == "sending" {
							_ = s.Send(pieces([]byte("hello")), 0)
							<-stuck // reads nothing until it is over
						}
						return waits(ends)(s)
					})
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					s := waiting(ctx, t, cl)
					got := make(chan error, 1)
					go func() {
						var err error
						for err == nil {
							if busy == "sending" {
								err = s.Send(pieces(make([]byte, 100_000)), 0)
							} else {
								_, err = recvText(s)
							}
						}
						got <- err
					}()
					giveUp(s, cancel)
					err := soon(t, got, "end")
					if busy == "sending" && !errors.Is(err, io.EOF) || busy == "receiving" && !errors.Is(err, why) {
						t.Errorf("%v", err)
					}
					wantEnd(t, s, why)
					close(stuck)
					if busy == "sending" {
						return // the handler says hello in vain
					}
					if err := soon(t, ends, "end at the far end"); status.Code(err) != codes.Canceled && !strings.Contains(err.Error(), "given the call up") {
						t.Errorf("the far end heard %v", err)
					}
					// It costs the connection nothing.
					waiting(t.Context(), t, cl)
				})
			})
		}
	}
}

// A context that has ended before, or while nobody answers.
func TestOpenWithEndedContext(t *testing.T) {
	why := errors.New("had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	ends := make(chan error, 1)
	cl := pair(t, sockets, waits(ends))
	if s, err := cl.Open(ctx); err == nil {
		wantEnd(t, s, why)
		s.Close(errTest)
	} else if !errors.Is(err, why) {
		t.Error(err)
	}
	s := waiting(t.Context(), t, cl)
	if late, err := cl.Open(ctx); err == nil {
		_ = late.Send(pieces([]byte("late")), Last)
		wantEnd(t, late, why)
		late.Close(errTest)
	} else if !errors.Is(err, why) {
		t.Error(err)
	}
	s.Close(why)
	_ = soon(t, ends, "end of the first call")

	f := newFar(t, sockets)
	ctx, cancel = context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := f.Open(ctx)
		got <- err
	}()
	p := f.accept()
	cancel(why)
	if err := soon(t, got, "error"); !errors.Is(err, why) {
		t.Error(err)
	}
	// Others have the connection all the same.
	go func() {
		s, err := f.Open(context.WithoutCancel(ctx))
		if err == nil {
			s.Close(errTest)
		}
		got <- err
	}()
	p.must(p.WriteSettings())
	if err := soon(t, got, "stream"); err != nil {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	no := errors.New("no way there")
	cl := newClient(t, func(context.Context, string) (net.Conn, error) { return nil, no })
	for range 2 {
		if _, err := cl.Open(t.Context()); !errors.Is(err, no) {
			t.Error(err)
		}
	}
	cl.Close()
	if _, err := cl.Open(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// The end of a context is watched as it is best for the context.
func TestWatchedContext(t *testing.T) {
	cl := pair(t, sockets, echo)
	ctx := &watchedContext{Context: t.Context()}
	s, err := cl.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.told == nil {
		t.Fatal("nobody watches")
	}
	sendText(t, s, "x", 0)
	wantText(t, s, "x")
	s.Close(errTest)
	if ctx.told != nil {
		t.Fatal("it is still watched")
	}
	next, err := cl.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(errTest) // once more, which is not to end the watch of the next
	ctx.told.Abort(errTest)
	wantEnd(t, next, errTest)
	next.Close(errTest)
}

type watchedContext struct {
	context.Context //nolint:containedctx // it is one
	told            interface{ Abort(why error) }
}

func (c *watchedContext) Watch(a interface{ Abort(why error) }) bool {
	c.told = a
	return true
}

func (c *watchedContext) Unwatch() bool {
	c.told = nil
	return true
}

// Everything that can end a call does so at once.
func TestEndsAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		cl := pair(t, on, func(s *Stream) error {
			m, err := s.Recv()
			if err != nil {
				return err
			}
			return s.Send(m, Soon)
		})
		for i := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			s, err := cl.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			all.Go(cancel)
			all.Go(func() { _ = s.Send(pieces(make([]byte, i*100)), i%2) })
			all.Go(func() { _, _ = recvText(s) })
			all.Go(func() { s.Abort(errTest) })
			all.Go(func() { s.Close(errTest) })
			all.Wait()
			s.Close(errTest)
		}
		s := opened(t, cl)
		sendText(t, s, "well?", Last)
		wantText(t, s, "well?")
		wantEnd(t, s, nil)
	})
}

// Close ends what is under way, whatever it is.
func TestCloseClient(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		ends := make(chan error, 2)
		cl := pair(t, on, waits(ends))
		receives, sends := waiting(t.Context(), t, cl), waiting(t.Context(), t, cl)
		got := make(chan error, 2)
		go func() {
			_, err := receives.Recv()
			got <- err
		}()
		go func() {
			var err error
			for err == nil {
				err = sends.Send(pieces(make([]byte, 10_000)), 0)
			}
			got <- nil
		}()
		cl.Close()
		for range 2 {
			if err := soon(t, got, "end"); err != nil && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), ErrClosed.Error())) {
				t.Error(err)
			}
			_ = soon(t, ends, "end at the far end")
		}
		if _, err := cl.Open(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		cl.Close() // again
	})
}

// A connection that is ready just when its client is closed ends with it.
func TestCloseWhileConnecting(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFar(t, memory64)
		got := make(chan error, 1)
		go func() {
			_, err := f.Open(context.WithoutCancel(t.Context()))
			got <- err
		}()
		p := f.accept()
		f.mu.Lock()
		p.must(p.WriteSettings())
		p.settled()
		f.closed = true // Close knows only of the connections that there are by now
		f.mu.Unlock()
		begin := time.Now()
		p.awaitEnd()
		after(t, begin, 0, 0)
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// Close waits for nothing that nobody ends.
func TestCloseAtAnyTime(t *testing.T) {
	for i := range 30 {
		f := newFar(t, sockets)
		got := make(chan struct{})
		go func() {
			s, err := f.Open(context.WithoutCancel(t.Context()))
			if err == nil {
				s.Close(errTest)
			}
			close(got)
		}()
		p := f.accept()
		var all sync.WaitGroup
		all.Go(func() {
			if i%10 > 0 {
				_ = p.WriteSettings()
			}
		})
		all.Go(f.Close)
		over := make(chan struct{})
		go func() { all.Wait(); close(over) }()
		soon(t, over, "end of Close")
		<-got
		_ = p.nc.Close()
		_ = f.ln.Close()
	}
}

// A peer that ends connections as soon as they are made leaves nothing behind.
func TestPeerLeavesAtOnce(t *testing.T) {
	f := newFar(t, sockets)
	for range 20 {
		got := make(chan struct{})
		go func() {
			s, err := f.Open(t.Context())
			if err == nil {
				s.Close(errTest)
			}
			close(got)
		}()
		for connecting := true; connecting; {
			accepted := make(chan *peer, 1)
			go func() {
				nc, err := f.ln.Accept()
				if err != nil {
					return
				}
				p := newPeer(t, nc)
				_ = p.WriteSettings()
				_ = p.WriteGoAway(0, 0, nil)
				_ = p.nc.Close()
				accepted <- p
			}()
			select {
			case <-accepted:
			case <-got:
				connecting = false
				wake, err := net.Dial("tcp", f.ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				<-accepted
				_ = wake.Close()
			}
		}
	}
	f.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.conns); n > 0 {
		t.Errorf("%d connections are left", n)
	}
}
