package h2

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Shutdown lets calls end, and cuts off those that do not.
func TestShutdown(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		ends := make(chan error, 1)
		s, dial := serve(t, on, func(s *Stream) error {
			text, err := recvText(s)
			if text == "wait" {
				return waits(ends)(s)
			}
			return errors.Join(err, s.Send(pieces([]byte("hello")), 0), echo(s))
		})
		cl := newClient(t, dial)
		call := opened(t, cl)
		sendText(t, call, "echo", 0)
		wantText(t, call, "hello")
		down := make(chan struct{})
		go func() { s.Shutdown(patience); close(down) }()
		for { // a call that comes while it leaves has not been processed
			late, err := cl.Open(t.Context())
			if err != nil {
				break // it has left, and takes no other connection
			}
			sendText(t, late, "echo", Last)
			_, err = recvText(late)
			late.Close(errTest)
			if err != nil {
				if _, ok := errors.AsType[*NotProcessedError](err); !ok {
					t.Errorf("%T %v", err, err)
				}
			}
		}
		sendText(t, call, "still", 0)
		wantText(t, call, "still")
		select {
		case <-down:
			t.Error("it did not wait")
		default:
		}
		if err := call.CloseSend(); err != nil {
			t.Error(err)
		}
		wantEnd(t, call, nil)
		soon(t, down, "end of Shutdown")
	})
	onBoth(t, func(t *testing.T, on carrier) {
		ends := make(chan error, 1)
		s, dial := serve(t, on, waits(ends))
		call := waiting(t.Context(), t, newClient(t, dial))
		down := make(chan struct{})
		go func() { s.Shutdown(20 * time.Millisecond); close(down) }()
		wantEnd(t, call, status.Error(codes.Unavailable, "broke off"))
		_ = soon(t, ends, "end of the call")
		soon(t, down, "end of Shutdown")
	})
}

// Connections and calls that begin and end during Shutdown.
func TestShutdownRaces(t *testing.T) {
	for i := range 30 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			s, dial := serve(t, sockets, echo)
			var all sync.WaitGroup
			for j := range 8 {
				cl := newClient(t, dial)
				all.Go(func() {
					for range 5 {
						call, err := cl.Open(context.WithoutCancel(t.Context()))
						if err != nil {
							continue
						}
						_ = call.Send(pieces(make([]byte, 100)), Last)
						_, _ = recvText(call)
						call.Close(errTest)
						if j%2 == 0 {
							cl.Close()
						}
					}
				})
				all.Go(func() {
					nc, err := dial(t.Context(), "")
					if err != nil {
						return
					}
					_, _ = io.WriteString(nc, "PRI * HTTP/2.0\r\n")
					_ = nc.Close()
				})
			}
			s.Shutdown(time.Duration(i) * time.Millisecond)
			_ = s.ln.Close()
			all.Wait()
		})
	}
}
