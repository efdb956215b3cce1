package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"google.golang.org/grpc/mem"
)

// sizes are those about which something is decided by size, and some others.
var sizes = []int{
	0, 1, 4, 5, 1023, 1024, copyMax - 1, copyMax, copyMax + 1, shortData - 1, shortData, shortData + 1,
	smallRead, 64 << 10, streamWindow - prefixLen, streamWindow, streamWindow + 1, 1 << 20, connWindow + 1,
}

func TestEcho(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		s := opened(t, pair(t, on, echo))
		for i, n := range sizes {
			want := random(n, byte(i))
			sent := make(chan error, 1)
			go func() { sent <- s.Send(pieces(want), 0) }()
			m, err := s.Recv()
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if got := m.Materialize(); !bytes.Equal(got, want) {
				t.Errorf("of %d bytes came %d others", n, len(got))
			}
			m.Free()
			if err := <-sent; err != nil {
				t.Errorf("sending %d bytes: %v", n, err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
		wantEnd(t, s, nil)
		wantEnd(t, s, nil) // again
	})
}

// All of it is sent before any of it is taken, in one direction and then in the other.
func TestManyMessagesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		const n = 2000
		s := opened(t, pair(t, on, func(s *Stream) error {
			var all []mem.BufferSlice
			for {
				m, err := s.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				all = append(all, m)
			}
			for _, m := range all {
				if err := s.Send(m, Soon); err != nil {
					return err
				}
			}
			return nil
		}))
		for i := range n {
			how := 0
			if i == n-1 {
				how = Last
			}
			sendText(t, s, fmt.Sprint("message ", i), how)
		}
		for i := range n {
			wantText(t, s, fmt.Sprint("message ", i))
		}
		wantEnd(t, s, nil)
	})
}

func TestManyStreams(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		cl := pair(t, on, echo)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				s, err := cl.Open(within(t))
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close(errTest)
				want := random(sizes[i%14], byte(i))
				for range 5 {
					if err := s.Send(pieces(want), 0); err != nil {
						t.Error(err)
						return
					}
					if got, err := recvText(s); err != nil || got != string(want) {
						t.Errorf("of %d bytes came %d others, %v", len(want), len(got), err)
						return
					}
				}
				_ = s.CloseSend()
				if _, err := s.Recv(); !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		cl.mu.Lock()
		defer cl.mu.Unlock()
		if len(cl.conns) != 1 {
			t.Errorf("%d connections", len(cl.conns))
		}
	})
}

// Whoever does not read stops its sender, and nobody else.
func TestBackPressure(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		const n, size = 40, 64 << 10
		read := make(chan struct{})
		cl := pair(t, on, func(s *Stream) error {
			if text, err := recvText(s); err != nil || text == "echo" {
				return errors.Join(err, echo(s))
			}
			<-read
			return echo(s)
		})
		slow, quick := opened(t, cl), opened(t, cl)
		sendText(t, slow, "slow", 0)
		sendText(t, quick, "echo", 0)
		all := make(chan error, 1)
		held := make(chan struct{})
		go func() {
			for i := range n {
				if i == streamWindow/size-1 {
					close(held) // as much as the window lets through has gone
				}
				if err := slow.Send(pieces(random(size, byte(i))), 0); err != nil {
					all <- err
					return
				}
			}
			all <- slow.CloseSend()
		}()
		<-held
		for range 100 {
			sendText(t, quick, "go on", 0)
			wantText(t, quick, "go on")
		}
		select {
		case err := <-all:
			t.Fatalf("all was sent to who does not read (%v)", err)
		default:
		}
		close(read)
		for i := range n {
			wantText(t, slow, string(random(size, byte(i))))
		}
		wantEnd(t, slow, nil)
		if err := <-all; err != nil {
			t.Error(err)
		}
	})
}

// A request that ends with its one message, and a reply that ends before it.
func TestLastAndSoon(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		cl := pair(t, on, func(s *Stream) error {
			text, err := recvText(s)
			if err != nil {
				return err
			}
			if text == "early" {
				return s.Send(pieces([]byte("no more")), Soon)
			}
			if _, err := s.Recv(); !errors.Is(err, io.EOF) {
				return errors.New("it was not the last")
			}
			return s.Send(pieces([]byte(text)), Soon)
		})
		s := opened(t, cl)
		sendText(t, s, "last", Last)
		if err := s.Send(pieces([]byte("more")), 0); !errors.Is(err, io.EOF) {
			t.Errorf("sending after the last: %v", err)
		}
		wantText(t, s, "last")
		wantEnd(t, s, nil)

		s = opened(t, cl)
		sendText(t, s, "early", 0)
		wantText(t, s, "no more")
		wantEnd(t, s, nil)
		for err := error(nil); !errors.Is(err, io.EOF); { // soon nothing can be sent any more
			if err = s.Send(pieces([]byte("late")), 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("sending when the reply has ended: %v", err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
	})
}

// A message that waits for what follows it does not wait for the window of the next.
func TestSoonBeforeAFullWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, on carrier) {
		s := opened(t, pair(t, on, echo))
		sent := make(chan error, 1)
		go func() {
			err := s.Send(pieces(random(streamWindow/2, 1)), Soon)
			sent <- errors.Join(err, s.Send(pieces(random(2*streamWindow, 2)), Last))
		}()
		wantText(t, s, string(random(streamWindow/2, 1)))
		wantText(t, s, string(random(2*streamWindow, 2)))
		wantEnd(t, s, nil)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
