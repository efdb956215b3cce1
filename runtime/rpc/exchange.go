package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/stream"
)

// settling is how long a call that has failed waits to learn that the client
// has sent all, without which it cannot be tried again. A client that sends one
// message says so in the same breath.
const settling = 20 * time.Millisecond

// incoming is what a client sends, as frames: the Body of a stream.Call.
type incoming struct {
	ctx      context.Context //nolint:containedctx // ends the reads, as a stream.Call's Body must
	messages chan *stream.Message
	err      error // how the messages ended, once the channel is closed
	rest     []byte
	ended    chan struct{} // closed when a reader has been told of the end
	once     sync.Once
}

// receive begins to take the client's messages, one ahead of whoever reads.
func receive(ctx context.Context, c *Call) *incoming {
	r := &incoming{ctx: ctx, messages: make(chan *stream.Message), ended: make(chan struct{})}
	c.sending.Go(func() {
		defer close(r.messages)
		for {
			m := new(stream.Message)
			if r.err = c.from.RecvMsg(m); r.err != nil {
				return
			}
			select {
			case r.messages <- m:
			case <-ctx.Done():
				m.Release()
				r.err = context.Cause(ctx)
				return
			}
		}
	})
	return r
}

// Read implements io.Reader.
func (r *incoming) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		select {
		case m, ok := <-r.messages:
			if !ok {
				r.once.Do(func() { close(r.ended) })
				return 0, r.err
			}
			r.rest = frame(m)
			m.Release()
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Len says how much can be read without waiting.
func (r *incoming) Len() int { return len(r.rest) }

// settle waits a little for a reader to learn of the end.
func (r *incoming) settle(ctx context.Context) {
	t := time.NewTimer(settling)
	defer t.Stop()
	select {
	case <-r.ended:
	case <-t.C:
	case <-ctx.Done():
	}
}

// exchange is one try of a call: the stream that the rest of the path takes
// requests from and gives replies to, both as frames on their other side.
type exchange struct {
	ctx      context.Context //nolint:containedctx // grpc.ServerStream asks for it
	stop     context.CancelFunc
	requests io.Reader
	replies  *io.PipeWriter
	frames   *io.PipeReader

	once   sync.Once
	began  chan struct{} // closed when there are headers
	header metadata.MD   // once began is closed

	done    chan struct{} // closed when the try is over, and what follows is known
	trailer metadata.MD
	err     error
}

var _ grpc.ServerStream = (*exchange)(nil)

// begin starts a try of c, whose requests are read from body.
func begin(ctx context.Context, c *Call, body io.Reader, next Handler) *exchange {
	x := &exchange{requests: body, began: make(chan struct{}), done: make(chan struct{})}
	x.ctx, x.stop = context.WithCancel(ctx)
	x.frames, x.replies = io.Pipe()
	to := *c
	to.from, to.requests = x, &requests{from: x}
	go func() {
		x.err = next.Pass(x.ctx, &to)
		to.requests.close()
		close(x.done)
		var end error // a policy is to see what has failed, not what the app has refused
		if x.err != nil && (x.ctx.Err() != nil || stream.HTTPStatus(status.Code(x.err)) >= http.StatusInternalServerError) {
			end = x.err
		}
		_ = x.replies.CloseWithError(end) // it never fails
	}()
	return x
}

// reply gives the reply as soon as its head is known.
func (x *exchange) reply(requests *incoming) (*stream.Reply, error) {
	select {
	case <-x.began:
	case <-x.done:
		if !isClosed(x.began) {
			return x.bare(requests)
		}
	}
	return &stream.Reply{Status: http.StatusOK, GRPC: status.New(codes.OK, ""), Length: -1, Body: &replyFrames{x}}, nil
}

// bare gives the reply of a try that is over and had no headers.
func (x *exchange) bare(requests *incoming) (*stream.Reply, error) {
	defer x.stop()
	st, ok := status.FromError(x.err)
	if _, missed := errors.AsType[*stream.UnreachableError](x.err); missed || !ok || x.ctx.Err() != nil {
		return nil, x.err
	}
	if st.Code() != codes.OK {
		requests.settle(x.ctx)
	}
	return &stream.Reply{Status: stream.HTTPStatus(st.Code()), GRPC: st, Body: http.NoBody}, nil
}

// answer passes a reply of this try, and what policies have made of its body,
// on to the client, and gives the status.
func (x *exchange) answer(client grpc.ServerStream, reply *stream.Reply) error {
	if isClosed(x.began) {
		if err := client.SendHeader(x.header); err != nil {
			return err
		}
	}
	for {
		m, err := readFrame(reply.Body)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if isClosed(x.done) {
				client.SetTrailer(x.trailer)
			}
			return failure(err)
		}
		if err := client.SendMsg(m); err != nil {
			m.Release()
			return err
		}
	}
	<-x.done
	client.SetTrailer(x.trailer)
	return x.err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// readFrame reads a message and what is in front of it. io.EOF is the end.
func readFrame(r io.Reader) (*stream.Message, error) {
	var head [prefix]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return stream.NewMessage(b), nil
}

// replyFrames is the body of a reply.
type replyFrames struct{ x *exchange }

func (b *replyFrames) Read(p []byte) (int, error) { return b.x.frames.Read(p) }

// Close ends the try and waits for it.
func (b *replyFrames) Close() error {
	b.x.stop()
	err := b.x.frames.Close()
	<-b.x.done
	return err
}

// Context implements grpc.ServerStream.
func (x *exchange) Context() context.Context { return x.ctx }

// SetHeader implements grpc.ServerStream; nobody on the path uses it.
func (x *exchange) SetHeader(metadata.MD) error {
	return status.Error(codes.Unimplemented, "headers are sent whole")
}

// SendHeader implements grpc.ServerStream.
func (x *exchange) SendHeader(md metadata.MD) error {
	x.once.Do(func() {
		x.header = md
		close(x.began)
	})
	return nil
}

// SetTrailer implements grpc.ServerStream.
func (x *exchange) SetTrailer(md metadata.MD) { x.trailer = md }

// RecvMsg implements grpc.ServerStream: it gives the next request.
func (x *exchange) RecvMsg(into any) error {
	m, err := readFrame(x.requests)
	if err != nil {
		return err
	}
	to, ok := into.(*stream.Message)
	if !ok {
		return status.Errorf(codes.Internal, "receiving a %T: not a message that is passed on", into)
	}
	*to = *m
	return nil
}

// SendMsg implements grpc.ServerStream: it returns when the reply was read.
func (x *exchange) SendMsg(from any) error {
	m, ok := from.(*stream.Message)
	if !ok {
		return status.Errorf(codes.Internal, "sending a %T: not a message that is passed on", from)
	}
	if err := x.SendHeader(nil); err != nil {
		return err
	}
	if _, err := x.replies.Write(frame(m)); err != nil {
		return err
	}
	m.Release()
	return nil
}

// frame gives a message with what gRPC puts in front of it on the wire: a byte
// that says it is not compressed, and its length.
func frame(m *stream.Message) []byte {
	n := m.Len()
	b := binary.BigEndian.AppendUint32(make([]byte, 1, prefix+n), uint32(n)) //nolint:gosec // gRPC allows no longer ones
	for _, part := range m.Parts() {
		b = append(b, part...)
	}
	return b
}
