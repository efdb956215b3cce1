package stream

import (
	"slices"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// Message is one gRPC message that is passed on without being looked at. It
// holds the transport's buffers from the moment it is received until it is
// sent or released. The zero value is ready to receive into.
type Message struct{ bufs mem.BufferSlice }

// Len gives how many bytes the message has.
func (m *Message) Len() int { return m.bufs.Len() }

// NewMessage gives a message of these bytes, which belong to it from now on.
func NewMessage(b []byte) *Message { return &Message{bufs: mem.BufferSlice{mem.SliceBuffer(b)}} }

// Parts gives the bytes of the message as they lie; they are its own until it is
// sent or released.
func (m *Message) Parts() [][]byte {
	parts := make([][]byte, len(m.bufs))
	for i, b := range m.bufs {
		parts[i] = b.ReadOnlyData()
	}
	return parts
}

// Again gives a message of the same bytes, to be sent once more.
func (m *Message) Again() *Message {
	m.bufs.Ref()
	return &Message{bufs: slices.Clone(m.bufs)}
}

// Release lets go of a message that has not been sent.
func (m *Message) Release() {
	m.bufs.Free()
	m.bufs = nil
}

// marshal hands the buffers over to gRPC, which frees them when they are written.
func (m *Message) marshal() mem.BufferSlice {
	bufs := m.bufs
	m.bufs = nil
	return bufs
}

// unmarshal keeps the buffers that a message was received in.
func (m *Message) unmarshal(data mem.BufferSlice) {
	m.Release()
	data.Ref()
	m.bufs = append(m.bufs, data...)
}

// Codec gives what encodes a *Message as it is and everything else as protobuf,
// for servers and connections that pass messages on.
func Codec() encoding.CodecV2 { return codec{} }
