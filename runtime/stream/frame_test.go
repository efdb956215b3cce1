package stream

import (
	"bytes"
	"math"
	"slices"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// cut lays a message out in buffers of that many bytes.
func cut(b []byte, size int) (s mem.BufferSlice) {
	for piece := range slices.Chunk(b, size) {
		s = append(s, mem.SliceBuffer(piece))
	}
	return s
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesAreProtobuf(t *testing.T) {
	var pool bufferPool
	head := wireHead(commonv1.HTTPExtension_PUT)
	for _, n := range []int{0, 1, 127, 128, smallBuffer - headroom, smallBuffer, maxPayload} {
		for _, seq := range []uint64{0, 1, math.MaxUint64} {
			for _, withHead := range []bool{true, false} {
				f := outFrame{buf: pool.Get(n + headroom), n: n, seq: seq, pool: &pool}
				data := (*f.buf)[headroom : headroom+n]
				for i := range data {
					data[i] = byte(i * 7)
				}
				want := &requestFrame{Payload: &commonv1.StreamPayload{Data: bytes.Clone(data), Seq: seq}}
				if withHead {
					f.head, want.Request = append(make([]byte, headRoom), encode(t, head)...), head
				}
				var got requestFrame
				if err := proto.Unmarshal(f.marshal().Materialize(), &got); err != nil {
					t.Fatalf("%d bytes, number %d: %v", n, seq, err)
				}
				if !bytes.Equal(got.GetPayload().GetData(), want.GetPayload().GetData()) || got.GetPayload().GetSeq() != seq || !proto.Equal(got.GetRequest(), want.GetRequest()) {
					t.Errorf("%d bytes, number %d, head %v: differs", n, seq, withHead)
				}
			}
		}
	}
}

// FuzzFrame holds our reading of a message, in however many buffers it comes,
// to that of the generated code.
func FuzzFrame(f *testing.F) {
	for _, m := range []*requestFrame{
		{},
		{Request: wireHead(commonv1.HTTPExtension_GET)},
		{Request: &internalsv1.InternalInvokeRequest{}, Payload: &commonv1.StreamPayload{}},
		{Request: wireHead(commonv1.HTTPExtension_POST), Payload: piece(3, "some data")},
		{Payload: piece(math.MaxUint64, "x")},
	} {
		b := encode(f, m)
		f.Add(b, 1)
		f.Add(append(b, b...), 3) // fields sent twice are merged
		f.Add(append(b, 0x7a, 1, 0, 0x78, 5, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8), 1000)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		var want requestFrame
		werr := proto.Unmarshal(b, &want)
		var got inFrame
		err := got.unmarshal(cut(b, max(1, size%64)))
		if err != nil {
			// We do not take groups, which nobody sends.
			return
		}
		var head internalsv1.InternalInvokeRequest
		if herr := proto.Unmarshal(got.head, &head); herr != nil {
			if werr == nil {
				t.Fatalf("the head does not parse alone: %v", herr)
			}
			return
		}
		if werr != nil {
			return // unknown fields are passed over without a look inside
		}
		if got.hasHead != (want.Request != nil) || got.payload != (want.Payload != nil) || got.seq != want.GetPayload().GetSeq() {
			t.Fatalf("got head %v, payload %v, number %d of %v", got.hasHead, got.payload, got.seq, &want)
		}
		if got.hasHead && !proto.Equal(&head, want.Request) {
			t.Errorf("head %v, want %v", &head, want.Request)
		}
		var data []byte
		for buf := make([]byte, 5); ; {
			n := got.read(buf)
			if n == 0 {
				break
			}
			data = append(data, buf[:n]...)
		}
		if !bytes.Equal(data, want.GetPayload().GetData()) {
			t.Errorf("data %q, want %q", data, want.GetPayload().GetData())
		}
	})
}
