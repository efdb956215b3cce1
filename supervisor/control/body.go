package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// body answers with what was captured of one direction of a flow, from the byte
// ?from to the byte ?to.
func (s *Server) body(w http.ResponseWriter, r *http.Request) {
	var d flow.Dir
	if err := d.UnmarshalText([]byte(r.PathValue("dir"))); err != nil {
		fail(w, badRequest("reading the path", "%v: it is request or reply", err))
		return
	}
	from, bad := number(r, "from", 0)
	if bad != nil {
		fail(w, bad)
		return
	}
	to, bad := number(r, "to", math.MaxInt64)
	if bad != nil {
		fail(w, bad)
		return
	}
	s.watch.renew()
	id := r.PathValue("id")
	b, ok := s.o.Flows.Body(id, d, from, to)
	if !ok {
		fail(w, unknownFlow(id))
		return
	}
	s.answer(w, b)
}

func unknownFlow(id string) *Error {
	return &Error{
		Code: "not_found", What: "finding the flow " + strconv.Quote(id), Why: "it is not remembered",
		Hint: "the mesh remembers the latest ones: GET /v1/flows lists them",
	}
}

// stats answers with how much the recorder holds, and what it had to let go of.
func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	s.watch.renew()
	s.answer(w, s.o.Flows.Stats())
}

// checkRecording says what is wrong with a command that switches a fault or the
// capture of bodies.
func checkRecording(c *state.Command) error {
	switch {
	case c.Op == state.SetCapture && (c.Bytes < 0 || c.Bytes > flow.MaxCapture):
		return fmt.Errorf("bytes is to be from 0 to %d", flow.MaxCapture)
	case c.Op == state.SetFault && c.Fault != nil:
		return c.Fault.Check()
	case c.Op == state.SetFault && c.Name == "":
		return errors.New("fault needs a name, or a fault to make")
	}
	return nil
}

// Body gives what was captured of one direction of a flow, of the bytes from one
// offset to another; ok is false when the flow is no longer remembered or the
// mesh cannot be asked.
func (c *Client) Body(id string, d flow.Dir, from, to uint64) (b flow.Body, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	q := url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(min(to, math.MaxInt64), 10)}}
	err := c.get(ctx, "/v1/flows/"+url.PathEscape(id)+"/"+d.String(), q, &b)
	return b, err == nil
}

// Stats says how much the recorder holds; nothing when the mesh cannot be asked.
func (c *Client) Stats() (s flow.Stats) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if c.get(ctx, "/v1/stats", nil, &s) != nil {
		return flow.Stats{}
	}
	return s
}
