package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mesh/runtime/api"
	"mesh/runtime/socket"
	"mesh/runtime/stream"
)

// Observer is told of every request when it has been served. It is called by
// many goroutines and must not block.
type Observer interface {
	// Served tells the route of a request, such as "/v1.0/state", and the
	// status of its reply; code is "" when the reply is not an error of the API.
	Served(method, route string, status int, code api.Code, took time.Duration)
}

// observed is the client of a request whose reply somebody wants to know of.
type observed struct {
	http.ResponseWriter

	status int
	code   api.Code
}

// observe serves a request, tells the observer and writes to the log.
func (s *Server) observe(h route, w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	o := &observed{ResponseWriter: w}
	method, path, agent := r.Method, r.URL.Path, "" // serving may change the request
	if s.o.LogCalls {
		agent = r.UserAgent()
	}
	defer func() {
		if o.status == 0 {
			o.status = http.StatusOK
		}
		took := time.Since(began)
		if s.o.Observer != nil {
			s.o.Observer.Served(method, routeName(path), o.status, o.code, took)
		}
		if s.o.LogCalls {
			s.o.Log.InfoContext(r.Context(), "HTTP API Called", slog.String("method", method+" "+path), slog.Int("code", o.status),
				slog.Int64("duration", took.Milliseconds()), slog.String("useragent", agent))
		}
	}()
	s.serve(h, o, r)
}

// routeName is the part of a path that is the same for many requests.
func routeName(path string) string {
	version, rest := segment(path)
	if !strings.HasPrefix(version, "v1.0") {
		return "/"
	}
	block, _ := segment(rest)
	if n := len("/") + len(version) + len("/") + len(block); n <= len(path) && path[1:1+len(version)] == version && path[n-len(block):n] == block && path[n-len(block)-1] == '/' {
		return path[:n] // as most are written
	}
	return "/" + version + "/" + block
}

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(status int) {
	if o.status < http.StatusOK {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// ReadFrom keeps the way through the kernel open.
func (o *observed) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := o.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{o.ResponseWriter}, r)
}

// Move does the same for what the kernel has already.
func (o *observed) Move(front []byte, m socket.Movable) (int, error) {
	if to, ok := o.ResponseWriter.(stream.Mover); ok {
		return to.Move(front, m)
	}
	return socket.Copy(o, front, m)
}

// FlushError sends on what is buffered.
func (o *observed) FlushError() error { return http.NewResponseController(o.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }
