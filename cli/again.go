package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"mesh/supervisor/state"
	"mesh/tui"
)

// again gives what makes calls for the screen: through the sidecar of the app
// that made them first, with the token that its API asks for.
func again(token func(ctx context.Context) (string, error)) func(context.Context, *state.Mesh, tui.Invocation) (int, error) {
	return func(ctx context.Context, m *state.Mesh, c tui.Invocation) (status int, err error) {
		from := c.From
		if m.Find(from) == nil {
			from = c.Callee
		}
		port := entrance(m, from)
		if port == 0 {
			return 0, errors.New("no sidecar of the mesh has an HTTP port")
		}
		req, err := http.NewRequestWithContext(ctx, c.Verb, fmt.Sprintf("http://127.0.0.1:%d%s", port, requestPath(c)), bytes.NewReader(c.Body))
		if err != nil {
			return 0, fmt.Errorf("making the request: %w", err)
		}
		req.Header = c.Header.Clone()
		req.Header.Set(appIDHeader, c.Callee)
		secret, err := token(ctx)
		if err != nil {
			return 0, err
		}
		if secret != "" {
			req.Header.Set(tokenHeader, secret)
		}
		t := &http.Transport{DisableCompression: true}
		defer t.CloseIdleConnections()
		resp, err := t.RoundTrip(req)
		if err != nil {
			return 0, fmt.Errorf("calling %s: %w", c.Callee, err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return 0, fmt.Errorf("reading the reply of %s: %w", c.Callee, err)
		}
		return resp.StatusCode, nil
	}
}

// requestPath gives path and query as they stand in a request.
func requestPath(c tui.Invocation) string {
	u := url.URL{Path: c.Path, RawQuery: c.Query}
	return u.RequestURI()
}
