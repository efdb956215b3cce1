package httpapi

import (
	"io"
	"net/http"
	"testing"
	"time"
)

func TestClientGoneReachesTheApp(t *testing.T) {
	for _, tc := range []struct{ name, request string }{
		{"waiting for the reply", "GET /v1.0/invoke/b/method/silent HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"after a body", invokeX + "Content-Length: 5\r\n\r\nhello"},
		{"in the request", invokeX + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"in the reply", "GET /v1.0/invoke/b/method/talk HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		fastest := time.Hour // a machine that has other things to do may be late once
		for try := 0; try < 5 && fastest > 100*time.Millisecond; try++ {
			fastest = min(fastest, leaving(t, tc.name, tc.request))
		}
		if fastest > 100*time.Millisecond {
			t.Errorf("%s: the app sees it after %v at best", tc.name, fastest)
		}
	}
}

// leaving gives how long it takes until the app sees that its client has left.
func leaving(t *testing.T, name, request string) time.Duration {
	t.Helper()
	began, gone := make(chan struct{}, 1), make(chan time.Time, 1)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/talk" {
			_, _ = io.WriteString(flushing{w}, "hello")
		}
		if name != "in the request" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		began <- struct{}{}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
		gone <- time.Now()
	}), nil)
	c := dial(t, s)
	c.send("%s", request)
	<-began
	left := time.Now()
	c.Close()
	return (<-gone).Sub(left)
}
