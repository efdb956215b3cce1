// Package control makes a running mesh reachable by other processes of the
// same user.
//
// The mesh listens on a Unix socket in the folder .mesh of its project and
// speaks HTTP with JSON and NDJSON streams under /v1; docs/control.md describes
// them. A Client is the other end: it reads the state, sends commands and
// follows output and invocations, and the screen can stand on it as it stands
// on the mesh itself. The server pulls whatever it streams at the pace of the
// one who reads, so a slow reader never holds up the mesh: it misses things,
// and is told how many.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// APIVersion is the version of the protocol, which is also in its paths.
const APIVersion = 1

// Mesh is the running mesh that a server makes reachable.
type Mesh interface {
	// State gives the present state.
	State() *state.Mesh
	// Wait blocks until the state's version differs from version, or ctx or the
	// mesh ends, and gives the present state.
	Wait(ctx context.Context, version uint64) *state.Mesh
	// Do carries out a command and returns when it is done.
	Do(ctx context.Context, c state.Command) error
}

// Logs is what the apps have printed.
type Logs interface {
	// Lines gives up to limit lines numbered above after, the latest ones when
	// there are more, of one app or instance, or of all when app is "".
	Lines(app string, after uint64, limit int) []state.Line
	// Wait blocks until there is a line numbered above after, or ctx ends and
	// then gives the cause.
	Wait(ctx context.Context, after uint64) error
	// Mark adds a line of the user's own to the output of every app.
	Mark(text string) state.Line
}

// Options is what a Server needs. All fields are required.
type Options struct {
	Dir   string        // the project folder
	Token func() string // gives that of the sidecars' APIs; clients get it, for they act for the user who runs the mesh
	Mesh  Mesh
	Flows *flow.Recorder
	Logs  Logs
	Log   *slog.Logger
}

// Server is the control socket of one running mesh. Make one with New, then
// call Run once, or Close.
type Server struct {
	o      Options
	place  *place
	ln     net.Listener
	closed sync.Once

	watch lease          // keeps the recorder recording while someone asks for flows
	tasks sync.WaitGroup // commands that nobody waits for
}

// New takes the project folder for this mesh and binds its socket. When another
// mesh runs in it, the error is a *RunningError. A socket that a dead mesh left
// behind is replaced. Nothing is served before Run.
func New(o Options) (*Server, error) {
	p, err := occupy(o.Dir)
	if err != nil {
		return nil, err
	}
	ln, err := p.listen()
	if err != nil {
		p.leave()
		return nil, err
	}
	s := &Server{o: o, place: p, ln: ln}
	s.watch.start = o.Flows.Watch
	return s, nil
}

// Path gives the socket's path.
func (s *Server) Path() string { return s.place.socket }

// Run serves until ctx ends, then ends every stream, removes the socket and
// gives the project folder free. Stop it after the mesh: as long as it runs,
// clients can see what is still stopping, and when it has ended they know that
// nothing is left.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	srv := &http.Server{
		Handler:           s.routes(life),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return life },
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.ln) }() // joined by the receives below
	select {
	case err := <-served:
		return fmt.Errorf("serving the control socket %s: %w", s.place.socket, err)
	case <-ctx.Done():
	}
	end(context.Cause(ctx)) // streams end with a last event
	// Whoever does not read that within a moment is cut off.
	polite, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if srv.Shutdown(polite) != nil {
		_ = srv.Close() // closes connections; nobody is left to care for their errors
	}
	s.tasks.Wait()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the control socket %s: %w", s.place.socket, err)
	}
	return nil
}

// Close removes the socket and gives the project folder free. Run does so at
// its end; a Server that never ran needs it. It may be called again.
func (s *Server) Close() error {
	var err error
	s.closed.Do(func() {
		s.watch.end()
		err = s.ln.Close()
		if errors.Is(err, net.ErrClosed) { // Run's server has closed it
			err = nil
		}
		s.place.leave()
	})
	return err
}

// lease keeps something started for a while after each use.
type lease struct {
	start func() (stop func())

	mu    sync.Mutex
	stop  func()
	timer *time.Timer
	over  bool
}

// renew starts the thing, or makes it last for flowLease from now.
func (l *lease) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
	case l.stop == nil:
		l.stop = l.start()
		l.timer = time.AfterFunc(flowLease, l.lapse)
	default:
		l.timer.Reset(flowLease)
	}
}

func (l *lease) lapse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// end stops the thing for good.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.stop != nil {
		l.timer.Stop()
		l.stop()
		l.stop = nil
	}
}
