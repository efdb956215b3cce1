package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
)

// script turns bytes into frames: any order, any size, any number.
func script(b []byte) (frames []*requestFrame) {
	next := func() int {
		if len(b) == 0 {
			return 0
		}
		v := int(b[0])
		b = b[1:]
		return v
	}
	var seq uint64
	for len(b) > 0 && len(frames) < 20 {
		f, kind := &requestFrame{}, next()
		switch kind % 4 {
		case 0:
			f.Request = wireHead(commonv1.HTTPExtension_Verb(next() % 11))
			if v := next(); v%3 == 0 {
				f.Request.Metadata["Content-Length"] = list(string(rune('0' + v%10)))
			}
		case 1:
			f.Request = &internalsv1.InternalInvokeRequest{Ver: internalsv1.APIVersion(next() % 3)}
		}
		if kind&4 == 0 {
			p := &commonv1.StreamPayload{Seq: seq, Data: make([]byte, next()*next())}
			if kind&8 == 0 {
				p.Seq = uint64(binary.LittleEndian.Uint16([]byte{byte(next()), byte(next())}))
			}
			f.Payload, seq = p, seq+1
		}
		frames = append(frames, f)
	}
	return frames
}

// FuzzInbound sends frames that no peer should send. Whatever they are, the
// call ends, with a reply or with an error, and the app never gets more than
// was sent.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{8, 3, 1, 10, 10, 15, 10, 10, 15, 100, 200})
	f.Add([]byte{0, 3, 0, 1, 1, 0, 0})
	f.Add([]byte{12, 3, 1, 9, 12, 3, 1})
	f.Add([]byte{1, 1, 2, 2, 0, 0, 3, 4, 5, 6, 7})
	type result struct {
		id string
		n  int64
	}
	got := make(chan result, 100) // of calls that were broken off, some come late
	var calls atomic.Int64
	c := peerTo(f, HandlerFunc(func(_ context.Context, c *Call) (*Reply, error) {
		var n int64
		var err error
		if c.Body != nil {
			n, err = io.Copy(io.Discard, c.Body)
		}
		select {
		case got <- result{c.Header.Get("X-Id"), n}:
		default:
		}
		if err != nil {
			return nil, err
		}
		return text(200, "fine"), nil
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		id := strconv.FormatInt(calls.Add(1), 10)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err := c.CallLocalStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var sent int64
		for _, frame := range script(b) {
			sent += int64(len(frame.GetPayload().GetData()))
			if md := frame.GetRequest().GetMetadata(); md != nil {
				md["X-Id"] = list(id)
			}
			if s.Send(frame) != nil {
				break
			}
		}
		_ = s.CloseSend()
		for err == nil {
			_, err = s.Recv()
		}
		if ctx.Err() != nil {
			t.Fatal("the call never ends")
		}
		replied := errors.Is(err, io.EOF)
		for len(got) > 0 {
			r := <-got
			if r.id != id {
				continue
			}
			if r.n > sent {
				t.Fatalf("%d bytes were sent, the app got %d", sent, r.n)
			}
			replied = false
		}
		if replied {
			t.Fatal("there is a reply, but not from the app")
		}
	})
}
