package stream

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/encoding/protowire"

	"mesh/runtime/flow"
)

// What Dapr's wire has no words for travels in fields that its messages do not
// have, which a daprd passes over: a request says which protocol it would like
// to switch to, which flow it belongs to, whether its caller wants to know of
// informational replies, and whether it wants to know, by such a reply, that its
// body is wanted. One is an InternalInvokeResponse inside of one that has no status.
const (
	upgradeField = 1001 // of InternalInvokeRequest: text
	informsField = 1002 // of InternalInvokeRequest: a number that is not 0
	informField  = 1003 // of InternalInvokeResponse

	announcedField = 1004 // of InternalInvokeRequest: text, the name of a trailer
	flowField      = 1005 // of InternalInvokeRequest: a flow.ID
	expectsField   = 1006 // of InternalInvokeRequest: a number that is not 0
)

// appendOurs appends to the head of a request what only our sidecars understand.
func appendOurs(b []byte, c *Call) []byte {
	if c.Upgrade != "" {
		b = appendText(b, upgradeField, c.Upgrade)
	}
	for _, key := range c.Announced {
		b = appendText(b, announcedField, key)
	}
	if c.Inform != nil {
		b = append(protowire.AppendTag(b, informsField, protowire.VarintType), 1)
	}
	if c.Flow != nil {
		b = protowire.AppendVarint(protowire.AppendTag(b, flowField, protowire.VarintType), uint64(c.Flow.ID()))
	}
	if Expects(c) {
		b = append(protowire.AppendTag(b, expectsField, protowire.VarintType), 1)
	}
	return b
}

// Announce gives the names of trailers in lists as a Trailer header has them, in
// canonical form.
func Announce(lists []string) (names []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			if httpguts.ValidTrailerHeader(name) && httpguts.ValidHeaderFieldName(name) && !HopByHop(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// informed is an informational reply.
type informed struct {
	status int
	header http.Header
}

// appendInform appends an informational reply to the head of a reply.
func appendInform(b []byte, status int, h http.Header) []byte {
	inner := appendStatus(make([]byte, 0, roomFor(h)+8), &Reply{Status: status})
	return protowire.AppendBytes(protowire.AppendTag(b, informField, protowire.BytesType), appendHeaders(inner, resHeaders, h))
}

// informHead gives the head that carries an informational reply.
func informHead(status int, h http.Header) []byte {
	return appendInform(make([]byte, headRoom), status, h)
}

// addInform takes an informational reply in, unless it is none.
func (r *response) addInform(f field) error {
	if r.inner { // one in another is none, or decoding it would know no bottom
		return nil
	}
	in := response{inner: true}
	if err := in.decode(f.b, f.text()); err != nil {
		return err
	}
	if in.code < http.StatusContinue || in.code == http.StatusSwitchingProtocols || in.code > 199 {
		return nil
	}
	i := informed{status: int(in.code)}
	if in.headers != nil {
		StripHopByHop(in.headers.h)
		i.header = in.headers.h
	}
	r.informs = append(r.informs, i)
	return nil
}

// tell tells the caller of informational replies, and says whether one of them
// gives leave to send the body, which concerns nobody else.
func (r *response) tell(c *Call) (wanted bool) {
	for _, i := range r.informs {
		switch {
		case i.status == http.StatusContinue:
			wanted = true
		case c.Inform != nil:
			c.Inform(i.status, i.header)
		}
	}
	return wanted
}

// tunnel is the way to a peer whose app has agreed to speak another protocol.
type tunnel struct {
	to   ourFrames
	pool *bufferPool
	flow *flow.Flow
	seq  uint64
}

var errTunnelOver = errors.New("the other side has ended the tunnel")

// Write implements io.Writer.
func (t *tunnel) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		buf := t.pool.Get(min(len(p)+headroom, largeBuffer))
		n := copy((*buf)[headroom:], p)
		t.flow.Blocked(flow.Request, flow.CallerOut)
		if err := t.to.send(&outFrame{buf: buf, n: n, seq: t.seq, pool: t.pool}); err != nil {
			if errors.Is(err, io.EOF) { // the reply says why
				err = errTunnelOver
			}
			return written, err
		}
		t.flow.Mark(flow.Request, flow.CallerOut, n)
		t.seq++
		p, written = p[n:], written+n
	}
	return written, nil
}

// Close implements io.Closer: the app reads an end.
func (t *tunnel) Close() error { return t.to.CloseSend() }

// passTunnel passes on what the peer sends into a tunnel, and that it sends no
// more. It returns when the call has ended, at the latest.
func passTunnel(to io.WriteCloser, from *bodyReader) {
	_, err := from.WriteTo(to)
	if err == nil {
		_ = to.Close() // an app that is gone ends the reply, too
	}
}
