package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// playEnv makes the test binary show the screen of a fake mesh instead of
// running tests: "streams,chunks per second of each", or "panic" for a mesh
// that does not answer well. It is how tests get a screen on a real terminal,
// and how to look at one by eye:
//
//	MESH_TUI_PLAY=50,200 go test ./tui
const playEnv = "MESH_TUI_PLAY"

func TestMain(m *testing.M) {
	if how := os.Getenv(playEnv); how != "" {
		os.Exit(play(how))
	}
	os.Exit(m.Run())
}

// play shows the screen until it is left, and says why on the terminal.
func play(how string) (code int) {
	streams, rate, _ := strings.Cut(how, ",")
	n, _ := strconv.Atoi(streams)
	perSecond, _ := strconv.Atoi(rate)
	mesh, _ := shop()
	mesh.set(func(m *state.Mesh) { m.Started = time.Now() })
	rec := flow.NewRecorder()
	defer rec.Watch()()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { stream(ctx, rec, i, perSecond) })
	}
	if n > 0 {
		wg.Go(func() { chatter(ctx, mesh) })
	}
	var shown Mesh = mesh
	if how == "panic" {
		shown = &faulty{fakeMesh: mesh}
	}
	opt := Options{NoColor: os.Getenv("NO_COLOR") != "", Edit: func(_ context.Context, file string, line, column int, _ io.Reader, out io.Writer) error {
		_, err := fmt.Fprintf(out, "editing %s:%d:%d\r\n", file, line, column)
		return err
	}, Terminal: func(_ context.Context, app string, _ io.Reader, out io.Writer) error {
		_, err := fmt.Fprintf(out, "at the terminal of %s\r\n", app)
		return err
	}}
	err := New(shown, rec, opt).Run(ctx)
	cancel()
	wg.Wait()
	fmt.Println("left:", err)
	if errors.Is(err, ReasonKill) {
		return 3
	}
	return 0
}

// faulty is a mesh whose state cannot be read the fifth time.
type faulty struct {
	*fakeMesh
	calls atomic.Int32
}

func (f *faulty) State() *state.Mesh {
	if f.calls.Add(1) == 5 {
		panic("no state today")
	}
	return f.fakeMesh.State()
}

// stream sends chunks through the lanes of one flow after the other. Each
// sixth one stalls now and then, each seventh pauses.
func stream(ctx context.Context, rec *flow.Recorder, i, perSecond int) {
	pace := time.NewTicker(time.Second / time.Duration(max(1, perSecond)))
	defer pace.Stop()
	callers, callees := []string{"web", "api", ""}, []string{"llm", "orders", "bill", "llm"}
	local := i%2 == 0
	peer := &flow.Peer{Instance: callees[i%4], Transport: "local"}
	if !local {
		peer = &flow.Peer{Instance: callees[i%4], Transport: "grpc", Addr: "127.0.0.1:51001"}
	}
	for ctx.Err() == nil {
		f := rec.Begin(flow.Head{Caller: callers[i%3], Callee: callees[i%4], Verb: "POST", Path: fmt.Sprintf("/stream/%d", i), Kind: "http"})
		f.Route(peer)
		pass(f, flow.Request, 400, local)
		f.Replied(200)
		length := 2000 + 300*(i%11)
		for n := 0; n < length && ctx.Err() == nil; n++ {
			pause := 0
			switch {
			case i%6 == 5 && n%1000 == 999:
				f.Mark(flow.Reply, flow.CalleeIn, 5000)
				f.Blocked(flow.Reply, flow.CallerOut)
				pause = 2 * perSecond
			case i%7 == 6 && n%1000 == 500:
				pause = 3 * perSecond
			}
			for range pause + 1 {
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
			if pause > 0 && i%6 == 5 {
				f.Mark(flow.Reply, flow.CallerOut, 5000)
				continue
			}
			pass(f, flow.Reply, 20+n*37%200, local)
		}
		err := ctx.Err()
		if i%9 == 8 {
			err = errors.New("the app went away in the middle of the reply")
		}
		f.End(err)
	}
}

// pass sends a chunk over all hops at once.
func pass(f *flow.Flow, d flow.Dir, n int, local bool) {
	hops := []flow.Hop{flow.CallerIn, flow.CallerOut, flow.CalleeIn, flow.CalleeOut}
	if d == flow.Reply {
		hops = []flow.Hop{flow.CalleeIn, flow.CalleeOut, flow.CallerIn, flow.CallerOut}
	}
	for i, h := range hops {
		if !local || i == 0 || i == 3 {
			f.Mark(d, h, n)
		}
	}
}

func chatter(ctx context.Context, mesh *fakeMesh) {
	t := time.NewTicker(300 * time.Millisecond)
	defer t.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-t.C:
			mesh.print("web", "stdout", fmt.Sprintf("\x1b[32mINFO\x1b[m served request %d in \x1b[33m%dms\x1b[m", n, n%40))
		case <-ctx.Done():
		}
	}
}
