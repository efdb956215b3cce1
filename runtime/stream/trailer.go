package stream

import (
	"fmt"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// Dapr drops trailers. Between our own sidecars they follow the body in a frame
// of their own, in a head that a daprd passes over: a reply's in the field that
// an InternalInvokeResponse has for them, a request's in a field that an
// InternalInvokeRequest does not have, holding such a response.
const trailerField = 1000

// replyTrailer gives the head that carries a reply's trailers after its body.
func replyTrailer(h http.Header) []byte {
	b := make([]byte, headRoom, headRoom+roomFor(h))
	return appendHeaders(b, resTrailers, h)
}

// requestTrailer gives the head that carries a request's trailers after its body.
func requestTrailer(h http.Header) []byte {
	t := replyTrailer(h)[headRoom:]
	b := make([]byte, headRoom, headRoom+len(t)+8)
	return protowire.AppendBytes(protowire.AppendTag(b, trailerField, protowire.BytesType), t)
}

// lateReply reads a head that is not the first of its reply.
func lateReply(head []byte) (http.Header, error) {
	var res response
	if err := res.decode(head, string(head)); err != nil {
		return nil, fmt.Errorf("decoding a frame: %w", err)
	}
	if res.status != nil || res.headers != nil || res.message {
		return nil, errLateReply
	}
	return res.trailer(), nil
}

// trailer gives the trailers, or nil.
func (r *response) trailer() http.Header {
	if r.trailers == nil {
		return nil
	}
	StripHopByHop(r.trailers.h)
	return r.trailers.h
}

// lateRequest reads a head that is not the first of its request.
func lateRequest(head []byte) (http.Header, error) {
	var req request
	if err := req.decode(head, string(head)); err != nil {
		return nil, fmt.Errorf("decoding a frame: %w", err)
	}
	if req.metadata != nil || req.message {
		return nil, errLateRequest
	}
	return req.trailers()
}

// trailers gives the trailers, or nil.
func (r *request) trailers() (http.Header, error) {
	if r.trailer == nil {
		return nil, nil
	}
	return lateReply(r.trailer)
}
