package component

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dapr/components-contrib/bindings"
)

// Stream is a payload that is read piece by piece.
type Stream struct {
	Body        io.ReadCloser // nil: empty
	Size        int64         // in bytes; -1: not known beforehand
	ContentType string
	Metadata    map[string]string
	// Decode says that the payload is a value of a JSON request, which a binding
	// may decode from base64 as its documentation says; else it is taken as it is.
	Decode bool
	Again  func() io.ReadCloser // gives Body anew; nil: it can be read once
	Limit  int64                // largest payload for bindings that take it in one piece; 0: MaxPayload
}

// MaxPayload is the largest payload, in bytes, for bindings that take it in one
// piece, unless something else is asked for.
const MaxPayload = 64 << 20

// PayloadError says that a payload is too large for a binding that cannot take
// it piece by piece.
type PayloadError struct {
	Name, Type string
	Limit      int64 // in bytes
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("the payload is larger than %s, the most that %s (%s) takes: of the bindings, only bindings.http and bindings.localstorage stream",
		binarySize(e.Limit), e.Name, e.Type)
}

// binarySize writes a number of bytes as MiB where that is exact.
func binarySize(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// streamer is a binding that takes and gives payloads piece by piece. The
// caller closes what it gets.
type streamer interface {
	stream(ctx context.Context, operation string, in Stream) (Stream, error)
}

// Stream is Invoke for payloads of any size. Bindings that can, take and give
// them piece by piece, in little memory; the others in one piece up to
// MaxPayload. The caller closes the body of the answer; the body that goes in is
// closed here. With an error comes what metadata the answer has.
func (b *Binding) Stream(ctx context.Context, operation string, in Stream) (Stream, error) {
	if in.Body == nil {
		in.Body, in.Size = io.NopCloser(bytes.NewReader(nil)), 0
	}
	defer in.Body.Close()
	out, s, done, err := use[bindings.OutputBinding](b.app, KindBinding, b.name)
	if err != nil {
		return Stream{}, err
	}
	through, ok := out.(streamer)
	if !ok {
		done()
		return b.whole(ctx, s, operation, in)
	}
	answer, err := through.stream(ctx, operation, in)
	if err != nil || answer.Body == nil {
		done()
		return answer, err
	}
	answer.Body = &held{ReadCloser: answer.Body, done: done}
	return answer, nil
}

// whole reads a payload to its end before it invokes.
func (b *Binding) whole(ctx context.Context, s *slot, operation string, in Stream) (Stream, error) {
	limit := in.Limit
	if limit <= 0 {
		limit = MaxPayload
	}
	data, err := io.ReadAll(io.LimitReader(in.Body, limit+1))
	if err != nil {
		return Stream{}, fmt.Errorf("reading the payload: %w", err)
	}
	if int64(len(data)) > limit {
		return Stream{}, &PayloadError{Name: b.name, Type: s.spec.Type, Limit: limit}
	}
	got, err := b.Invoke(ctx, operation, Payload{Data: data, ContentType: in.ContentType, Metadata: in.Metadata})
	if err != nil {
		return Stream{Metadata: got.Metadata}, err
	}
	return Stream{
		Body: io.NopCloser(bytes.NewReader(got.Data)), Size: int64(len(got.Data)),
		ContentType: got.ContentType, Metadata: got.Metadata,
	}, nil
}

// held is a body that keeps its component open until it is closed.
type held struct {
	io.ReadCloser
	done func()
}

func (h *held) Close() error {
	if h.done == nil {
		return nil
	}
	err := h.ReadCloser.Close()
	h.done()
	h.done = nil
	return err
}

// errOperation is the error of an operation that a binding does not know.
var errOperation = errors.New("unknown operation")
