package stream

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec speaks protobuf: frames by hand, messages that are passed on not at all,
// every other message as generated. It is given to a connection and to a server, never registered for the process.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// Name is that of the standard codec, since the bytes are the same.
func (codec) Name() string { return "proto" }

// Marshal encodes an *outFrame, a *Message or a proto.Message.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *outFrame:
		return m.marshal(), nil
	case *unaryOut:
		return mem.BufferSlice{mem.SliceBuffer(m.front), mem.SliceBuffer(m.data)}, nil
	case *Message:
		return m.marshal(), nil
	case proto.Message:
		b, err := proto.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	}
	return nil, fmt.Errorf("encoding a %T: not a protobuf message", v)
}

// Unmarshal decodes an *inFrame, a *Message or a proto.Message.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *inFrame:
		return m.unmarshal(data)
	case *unaryIn:
		*m = data.Materialize()
		return nil
	case *Message:
		m.unmarshal(data)
		return nil
	case proto.Message:
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		return proto.Unmarshal(buf.ReadOnlyData(), m)
	}
	return fmt.Errorf("decoding a %T: not a protobuf message", v)
}
