package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"mesh/runtime/stream"
)

// TestRPCAborted breaks off many calls in every way. The app is told of all of
// them and none stays behind, which the end of the package's tests makes sure of.
func TestRPCAborted(t *testing.T) {
	for _, transport := range []stream.Transport{stream.Auto, stream.GRPC} {
		t.Run(string(transport), func(t *testing.T) {
			m := newMesh(t, transport)
			t.Cleanup(m.flows.Watch())
			var inside atomic.Int64
			s := m.rpcApp("back", &rpcApp{duplex: func(s duplex) error {
				inside.Add(1)
				defer inside.Add(-1)
				return echoes(s)
			}})
			client := pb.NewTestServiceClient(m.dial())
			const workers, calls = 8, 100
			var load sync.WaitGroup
			for w := range workers {
				load.Go(func() {
					for i := range calls {
						ctx, cancel := context.WithCancel(m.to("back"))
						s, err := client.FullDuplexCall(ctx)
						must(t, err)
						for range (w + i) % 3 { // before, in and after the first answer
							_ = s.Send(&pb.StreamingOutputCallRequest{Payload: payload(1000)})
						}
						if i%2 == 0 && (w+i)%3 > 0 {
							_, err := s.Recv()
							must(t, err)
						}
						cancel()
					}
				})
			}
			load.Wait()
			eventually(t, "the app to be rid of all calls", func() bool { return inside.Load() == 0 && s.App().Stats().Calls == 0 })
			for _, v := range m.ended(1) {
				if v.Status != 408 || !v.Broken() {
					t.Errorf("a call that was broken off is recorded as %d %q", v.Status, v.Err)
				}
			}
		})
	}
}
