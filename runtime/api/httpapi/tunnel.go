package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"mesh/runtime/http1"
	"mesh/runtime/stream"
)

// upgradeOf gives the protocol that a request would like to switch to, such as
// websocket; "": none. HTTP/2 is no answer to that, and neither is a request
// with a body.
func upgradeOf(w http.ResponseWriter, r *http.Request) string {
	to := r.Header["Upgrade"]
	if len(to) != 1 || r.Method != http.MethodGet || r.Body != http.NoBody || r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return ""
	}
	if _, ok := unwrap(w).(*http1.Response); !ok || strings.EqualFold(to[0], "h2c") {
		return ""
	}
	for _, list := range r.Header["Connection"] {
		for token := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(textproto.TrimString(token), "upgrade") {
				return to[0]
			}
		}
	}
	return ""
}

// tunnel passes bytes both ways until the app ends its side, or either breaks
// off. The client ending its side is passed on: the app may have more to say.
func (s *Server) tunnel(w http.ResponseWriter, reply *stream.Reply, in *invocation) error {
	h1, ok := unwrap(w).(*http1.Response)
	if !ok || in.cancel == nil {
		return errors.New("the app switched protocols, which the client did not ask for")
	}
	if o, ok := w.(*observed); ok {
		o.status = reply.Status
	}
	from, err := h1.Switch(in.call.Upgrade, reply.Header)
	if err != nil {
		return err
	}
	in.body.from, in.body.http1, in.body.flow, in.body.left = from, from, in.call.Flow, -1
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := send(reply.Tunnel, &in.body); err != nil {
			in.cancel(err)
		}
	}()
	in.sink.init(h1, in.call.Flow, -1)
	err = s.buffers.copy(&in.sink, reply.Body)
	in.cancel(context.Canceled) // frees a sender that waits for the app
	in.body.end()
	<-sent
	return err
}

// send passes on what the client sends, and that it sends no more.
func send(to io.WriteCloser, from io.Reader) error {
	buf := make([]byte, smallBuffer)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return to.Close()
		case errors.Is(err, errEnded):
			return nil
		case err != nil:
			return err
		}
	}
}
