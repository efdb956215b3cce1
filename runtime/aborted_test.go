package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	stdruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// abortedCalls is how many calls TestAbortedCallsLeaveNothing breaks off on each
// transport; MESH_ABORTED_CALLS says another number.
const abortedCalls = 300

// sockets gives how many this process has open, 0 where that cannot be seen.
func sockets() (n int) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// TestAbortedCallsLeaveNothing breaks calls off wherever they can be: before the
// reply, in it, in the request, in the head, in a tunnel, and from the app's
// side. Afterwards there are no more goroutines, connections and calls than before.
func TestAbortedCallsLeaveNothing(t *testing.T) {
	n := abortedCalls
	if more, err := strconv.Atoi(os.Getenv("MESH_ABORTED_CALLS")); err == nil {
		n = more
	}
	eachTransport(t, func(t *testing.T, m *mesh) {
		back := m.app("back", func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/silent":
				<-r.Context().Done()
			case "/endless":
				for i := 0; r.Context().Err() == nil && (m.streams() || i < 100); i++ {
					if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush()
				}
			case "/upload":
				_, _ = io.Copy(io.Discard, r.Body)
			case "/ws":
				shouting(w, r)
			case "/crash":
				crash(t, w)
			}
		})
		host := strings.TrimPrefix(strings.Split(m.url("", ""), "/v1.0")[0], "http://")
		abort := func(kind int) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			path := [...]string{"silent", "endless", "upload", "crash", "ws", "head"}[kind]
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url("back", path), nil)
			if err != nil {
				return err
			}
			switch path {
			case "silent":
				time.AfterFunc(time.Millisecond, cancel)
				if res, err := m.client.Do(req); err == nil {
					_ = res.Body.Close()
					return fmt.Errorf("a reply of an app that does not answer: %d", res.StatusCode)
				}
			case "endless":
				res, err := m.client.Do(req)
				if err != nil {
					return err
				}
				_, err = io.ReadFull(res.Body, make([]byte, 5000))
				_ = res.Body.Close()
				return err
			case "upload":
				req.Method, req.ContentLength = http.MethodPost, -1
				req.Body = io.NopCloser(&breaking{left: 5, cancel: cancel})
				if res, err := m.client.Do(req); err == nil {
					_ = res.Body.Close()
					return errors.New("a reply to half a request")
				}
			case "crash":
				if res, err := m.client.Do(req); err == nil {
					_ = res.Body.Close()
				}
			default:
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
				if err != nil {
					return err
				}
				defer c.Close()
				if path == "head" {
					_, err = io.WriteString(c, "POST /v1.0/invoke/back/method/upload HTTP/1.1\r\nHost: x\r\nContent-Le")
					return err
				}
				if _, err = io.WriteString(c, "GET /v1.0/invoke/back/method/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\nhalf"); err != nil {
					return err
				}
				_, err = c.Read(make([]byte, 10))
				return err
			}
			return nil
		}
		var next atomic.Int64
		run := func(calls int64) {
			next.Store(0)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for i := next.Add(1); i <= calls && !t.Failed(); i = next.Add(1) {
						if err := abort(int(i) % 6); err != nil {
							t.Errorf("call %d: %v", i, err)
						}
					}
				})
			}
			wg.Wait()
		}
		// quiet gives how many goroutines and sockets there are when nothing is under way.
		quiet := func(at func(goroutines, open int) bool) (goroutines, open int) {
			for end := time.Now().Add(patience); ; tick(t) {
				m.client.CloseIdleConnections()
				goroutines, open = stdruntime.NumGoroutine(), sockets()
				if back.App().Stats().Calls == 0 && len(m.flows.Live(nil)) == 0 && at(goroutines, open) || time.Now().After(end) {
					return goroutines, open
				}
			}
		}
		run(60) // what is made once is there
		var last [2]int
		same := 0
		goroutines, open := quiet(func(g, o int) bool { // as few as it gets
			if [2]int{g, o} != last {
				last, same = [2]int{g, o}, 0
			}
			same++
			return same > 50
		})
		began := time.Now()
		run(int64(n))
		took := time.Since(began)
		g, o := quiet(func(g, o int) bool { return g <= goroutines && o <= open })
		if g > goroutines || o > open {
			stacks := make([]byte, 1<<16)
			t.Errorf("before: %d goroutines, %d sockets; after %d aborted calls: %d, %d\n%s", goroutines, open, n, g, o, stacks[:stdruntime.Stack(stacks, true)])
		}
		if back.App().Stats().Calls != 0 || len(m.flows.Live(nil)) != 0 {
			t.Errorf("%d calls and %d flows never end", back.App().Stats().Calls, len(m.flows.Live(nil)))
		}
		t.Logf("%d calls in %v: %d goroutines and %d sockets before, %d and %d after", n, took, goroutines, open, g, o)
	})
}

// breaking is a body that gives its client up.
type breaking struct {
	left   int
	cancel context.CancelFunc
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		b.cancel()
		return 0, errors.New("broken off")
	}
	return copy(p, "some of it"), nil
}
