package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// askTime is how long a question that takes no context may take: the mesh
// answers within a millisecond, so it hangs or is gone when this is over.
const askTime = 2 * time.Second

// ErrNotRunning is what a *NotRunningError is, for errors.Is.
var ErrNotRunning = errors.New("no mesh runs")

// NotRunningError says that no mesh runs in the project folder.
type NotRunningError struct{ Dir string }

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no mesh runs in %s: start one with `mesh up`", e.Dir)
}

// Is makes errors.Is(err, ErrNotRunning) true.
func (e *NotRunningError) Is(target error) bool { return target == ErrNotRunning }

// Client talks to the mesh that runs in a project folder. Its methods may be
// called from any goroutine. It has the methods that the screen needs.
type Client struct {
	dir  string
	http *http.Client

	mu   sync.Mutex
	last *state.Mesh // the latest known
}

// Dial finds the mesh that runs in the project folder dir. When there is none,
// the error is a *NotRunningError. Close the client when done with it.
func Dial(ctx context.Context, dir string) (*Client, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the project folder: %w", err)
	}
	c := &Client{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// Found anew each time: a mesh that was started again may listen elsewhere.
			var d net.Dialer
			return d.DialContext(ctx, "unix", find(dir))
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 4,
	}}
	v, err := c.Version(ctx)
	if err == nil && v.API != APIVersion {
		err = fmt.Errorf("the mesh in %s (pid %d) speaks version %d of the control protocol and this program version %d: use the program that started it", dir, v.PID, v.API, APIVersion)
	}
	if err == nil {
		_, err = c.Fetch(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close gives the client's connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Version gives what the mesh says of itself.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.get(ctx, "/v1/version", nil, &v)
	return v, err
}

// Token gives the token of the sidecars' APIs, "" when they need none.
func (c *Client) Token(ctx context.Context) (string, error) {
	var t token
	err := c.get(ctx, "/v1/token", nil, &t)
	return t.Token, err
}

// Fetch asks the mesh for its present state.
func (c *Client) Fetch(ctx context.Context) (*state.Mesh, error) {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	q := url.Values{}
	if last != nil {
		q.Set("after", strconv.FormatUint(last.Version, 10))
	}
	m := &state.Mesh{}
	err := c.get(ctx, "/v1/state", q, m)
	if errors.Is(err, errUnchanged) {
		return last, nil
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.last = m
	c.mu.Unlock()
	return m, nil
}

// State gives the present state or, when the mesh cannot be asked any more, the
// last known one with a notice that says so.
func (c *Client) State() *state.Mesh {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	m, err := c.Fetch(ctx)
	if err == nil {
		return m
	}
	c.mu.Lock()
	stale := *c.last // Dial has fetched one
	c.mu.Unlock()
	stale.Notices = append(slices.Clip(stale.Notices), state.Notice{
		At: time.Now(), Level: "error", Code: "control", Text: "the mesh does not answer: " + err.Error(),
		Hint: "this is the last known state",
	})
	return &stale
}

// Do carries out a command and returns when it is done.
func (c *Client) Do(ctx context.Context, cmd state.Command) error {
	return c.command(ctx, cmd, nil)
}

// Post hands over a command and does not wait for it.
func (c *Client) Post(ctx context.Context, cmd state.Command) error {
	return c.command(ctx, cmd, url.Values{"wait": {"false"}})
}

func (c *Client) command(ctx context.Context, cmd state.Command, q url.Values) error {
	body, err := json.Marshal(cmd)
	if err != nil {
		return fmt.Errorf("writing the command: %w", err)
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/command", q, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return drain(resp)
}

// Lines gives lines of output as logs.Book does; none when the mesh cannot be
// asked.
func (c *Client) Lines(app string, after uint64, limit int) []state.Line {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	q := LogQuery{After: after, Limit: max(limit, 0)}
	if app != "" {
		q.Apps = []string{app}
	}
	var lines []state.Line
	for l, err := range c.Logs(ctx, q) {
		if err != nil {
			break
		}
		if l.Lost == 0 {
			lines = append(lines, l.Line)
		}
	}
	return lines
}

// Views gives the live flows, latest first, then up to recent ended ones; none
// when the mesh cannot be asked.
func (c *Client) Views(recent int) []flow.View {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	var views []flow.View
	if c.get(ctx, "/v1/flows", url.Values{"recent": {strconv.Itoa(max(recent, 0))}}, &views) != nil {
		return nil
	}
	return views
}

// Detail gives one flow with the marks after the cursor; ok is false when the
// flow is no longer remembered or the mesh cannot be asked.
func (c *Client) Detail(id string, after flow.Cursor) (d flow.Detail, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	err := c.get(ctx, "/v1/flows/"+url.PathEscape(id), url.Values{"after": {formatCursor(after)}}, &d)
	return d, err == nil
}

// formatCursor writes numbers with commas between them.
func formatCursor(c flow.Cursor) string {
	parts := make([]string, len(c))
	for i, n := range c {
		parts[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(parts, ",")
}

// errUnchanged says that a question was answered with "as before".
var errUnchanged = errors.New("unchanged")

// get asks for one JSON value.
func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	resp, err := c.send(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return errUnchanged
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the mesh's answer to %s: %w", path, err)
	}
	return drain(resp) // so that the connection can be used again
}

// drain reads a short answer to its end and closes it.
func drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("reading the mesh's answer: %w", err)
	}
	return nil
}

// send sends a request and gives the answer, or the error that it holds. The
// caller closes the answer's body.
func (c *Client) send(ctx context.Context, verb, path string, q url.Values, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, verb, "http://mesh"+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the mesh: %w", err)
	}
	r.URL.RawQuery = q.Encode()
	resp, err := c.http.Do(r)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &NotRunningError{Dir: c.dir}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("asking the mesh in %s: %w", c.dir, err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	var problem struct {
		Error *Error `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&problem); err != nil || problem.Error == nil {
		return nil, fmt.Errorf("asking the mesh in %s: it answered %s to %s", c.dir, resp.Status, path)
	}
	return nil, problem.Error
}
