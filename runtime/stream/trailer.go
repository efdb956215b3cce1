package stream

import (
	"fmt"
	"net/http"

	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Dapr drops trailers. Between our own sidecars they follow the body in a frame
// of their own, in a head that a daprd passes over: a reply's in the field that
// an InternalInvokeResponse has for them, a request's in a field that an
// InternalInvokeRequest does not have, holding such a response.
const trailerField = 1000

// replyTrailer gives the head that carries a reply's trailers after its body.
func replyTrailer(h http.Header) proto.Message {
	return &internalsv1.InternalInvokeResponse{Trailers: metadata(h, 0)}
}

// requestTrailer gives the head that carries a request's trailers after its body.
func requestTrailer(h http.Header) proto.Message {
	req := &internalsv1.InternalInvokeRequest{}
	req.ProtoReflect().SetUnknown(trailerBytes(h))
	return req
}

// trailerBytes encodes the field that holds a request's trailers.
func trailerBytes(h http.Header) []byte {
	b, err := proto.Marshal(replyTrailer(h))
	if err != nil { // not UTF-8: the call goes on without its trailers
		return nil
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, trailerField, protowire.BytesType), b)
}

// lateReply reads a head that is not the first of its reply.
func lateReply(head []byte) (http.Header, error) {
	var res internalsv1.InternalInvokeResponse
	if err := proto.Unmarshal(head, &res); err != nil {
		return nil, fmt.Errorf("decoding a frame: %w", err)
	}
	if res.GetStatus() != nil || len(res.GetHeaders()) > 0 || res.GetMessage() != nil {
		return nil, errLateReply
	}
	h, _, err := headers(res.GetTrailers())
	return h, err
}

// lateRequest reads a head that is not the first of its request.
func lateRequest(head []byte) (http.Header, error) {
	var req internalsv1.InternalInvokeRequest
	if err := proto.Unmarshal(head, &req); err != nil {
		return nil, fmt.Errorf("decoding a frame: %w", err)
	}
	if len(req.GetMetadata()) > 0 || req.GetMessage() != nil {
		return nil, errLateRequest
	}
	return trailerOf(&req)
}

// trailerOf gives the trailers that a request carries, or none.
func trailerOf(req *internalsv1.InternalInvokeRequest) (trailer http.Header, err error) {
	for b := []byte(req.ProtoReflect().GetUnknown()); len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errFrame
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return nil, errFrame
		}
		if num == trailerField && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[n:])
			if trailer, err = lateReply(value); err != nil {
				return nil, err
			}
		}
		b = b[n+size:]
	}
	return trailer, nil
}
