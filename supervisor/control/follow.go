package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"mesh/supervisor/state"
)

// Watch gives the state and then every change of it that the caller is fast
// enough to see. It ends without an error when the mesh ends.
func (c *Client) Watch(ctx context.Context) iter.Seq2[*state.Mesh, error] {
	return follow[*state.Mesh](ctx, c, "/v1/state", url.Values{"watch": {""}})
}

// Tap gives what the invocations that a filter chooses do, all of them when it
// is "". It ends without an error when the mesh ends.
func (c *Client) Tap(ctx context.Context, chosen string) iter.Seq2[Event, error] {
	return follow[Event](ctx, c, "/v1/tap", url.Values{"filter": {chosen}})
}

// LogQuery says which lines of output are wanted.
type LogQuery struct {
	Apps   []string // app ids and instance names; empty: all
	After  uint64   // lines numbered above this one
	Limit  int      // the latest so many of those that are there; 0: all of them
	Follow bool     // and those to come
}

// LogLine is a line of output, or word of lines that are missing.
type LogLine struct {
	state.Line
	Lost uint64 // so many lines were overwritten before they could be read; then there is no line
}

// Logs gives lines of output. Following, it ends without an error when the mesh
// ends.
func (c *Client) Logs(ctx context.Context, want LogQuery) iter.Seq2[LogLine, error] {
	q := url.Values{"app": want.Apps, "after": {strconv.FormatUint(want.After, 10)}, "limit": {"all"}}
	if want.Limit > 0 {
		q.Set("limit", strconv.Itoa(want.Limit))
	}
	if want.Follow {
		q.Set("follow", "")
	}
	type onWire struct {
		logLine
		lostLines
	}
	return func(yield func(LogLine, error) bool) {
		for w, err := range follow[onWire](ctx, c, "/v1/logs", q) {
			l := LogLine{Line: w.Line, Lost: w.Lost}
			if w.Raw != nil {
				l.Text = string(w.Raw)
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

// follow gives the values of an NDJSON stream. An error is the last thing it
// gives; a context that has ended is one, its cause.
func follow[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		resp, err := c.send(ctx, http.MethodGet, path, q, nil)
		if err != nil {
			yield(zero, err)
			return
		}
		defer resp.Body.Close()
		d := json.NewDecoder(resp.Body)
		for {
			var v T
			err := d.Decode(&v)
			switch {
			case err == nil:
				if !yield(v, nil) {
					return
				}
				continue
			case ctx.Err() != nil:
				yield(zero, context.Cause(ctx))
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
				// The mesh has ended, maybe in the middle of a line.
			default:
				yield(zero, fmt.Errorf("following %s of the mesh: %w", path, err))
			}
			return
		}
	}
}

// Gone blocks until the mesh has ended and its project folder is free.
func (c *Client) Gone(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, still := Occupied(c.dir); !still {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
