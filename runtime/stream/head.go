package stream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
)

// wireKey gives a header's key on the wire: canonical, as Dapr's peers send
// them, but for the names that they look up in lower case.
func wireKey(key string) string {
	switch key {
	case HeaderCaller:
		return "dapr-caller-app-id"
	case HeaderCallee:
		return "dapr-callee-app-id"
	case HeaderCallerNamespace:
		return "dapr-caller-namespace"
	case HeaderDestination:
		return "destination-app-id"
	}
	return key
}

// metadata gives headers as the wire has them, with room for extra entries.
func metadata(h http.Header, extra int) map[string]*internalsv1.ListStringValue {
	md := make(map[string]*internalsv1.ListStringValue, len(h)+extra)
	values := make([]internalsv1.ListStringValue, len(h))
	i := 0
	for key, v := range h {
		if key == "Content-Length" {
			continue
		}
		values[i].Values = v
		md[wireKey(key)] = &values[i]
		i++
	}
	return md
}

// headers is the inverse of metadata, without hop-by-hop headers and without
// Content-Length, which it gives as a number: -1 when there is none.
func headers(md map[string]*internalsv1.ListStringValue) (h http.Header, length int64, err error) {
	h, length = make(http.Header, len(md)+1), -1
	for key, v := range md {
		key = http.CanonicalHeaderKey(key)
		if key != "Content-Length" {
			h[key] = append(h[key], v.GetValues()...)
			continue
		}
		for _, s := range v.GetValues() {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < 0 || s[0] == '+' || (length >= 0 && n != length) {
				return nil, 0, fmt.Errorf("%q is not a valid Content-Length", v.GetValues())
			}
			length = n
		}
	}
	StripHopByHop(h)
	return h, length, nil
}

// requestHead gives the head that a call has on the wire.
func requestHead(c *Call) *internalsv1.InternalInvokeRequest {
	md := metadata(c.Header, 2)
	switch {
	case c.Body == nil:
		md["Content-Length"] = &internalsv1.ListStringValue{Values: []string{"0"}}
	case c.Length >= 0:
		md["Content-Length"] = &internalsv1.ListStringValue{Values: []string{strconv.FormatInt(c.Length, 10)}}
	case len(md) == 0: // a peer refuses a head whose metadata is empty
		md["destination-app-id"] = &internalsv1.ListStringValue{Values: []string{c.AppID}}
	}
	verb, ok := commonv1.HTTPExtension_Verb_value[c.Verb]
	if !ok {
		verb = int32(commonv1.HTTPExtension_POST)
	}
	req := &internalsv1.InternalInvokeRequest{
		Ver:      internalsv1.APIVersion_V1,
		Metadata: md,
		Message: &commonv1.InvokeRequest{
			Method:        c.Path,
			ContentType:   c.Header.Get("Content-Type"),
			HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_Verb(verb), Querystring: c.Query},
		},
	}
	if c.Type != "" { // the value follows in frames
		req.Message.Data = &anypb.Any{TypeUrl: c.Type}
	}
	return req
}

// errHead is what a peer is told when the head of its call lacks something.
var errHead = errors.New("request does not contain the required fields in the leading chunk")

// callOf is the inverse of requestHead. The body and AppID are not set; Length is.
func callOf(req *internalsv1.InternalInvokeRequest) (*Call, error) {
	msg := req.GetMessage()
	if len(req.GetMetadata()) == 0 || msg == nil {
		return nil, errHead
	}
	if req.GetVer() != internalsv1.APIVersion_V1 {
		return nil, fmt.Errorf("Unsupported spec version: %d", req.GetVer()) //nolint:staticcheck // Dapr's words
	}
	ext := msg.GetHttpExtension()
	switch {
	case ext == nil:
		return nil, errors.New("missing HTTP extension field")
	case ext.GetVerb() == commonv1.HTTPExtension_NONE, ext.GetVerb() == commonv1.HTTPExtension_CONNECT, commonv1.HTTPExtension_Verb_name[int32(ext.GetVerb())] == "":
		return nil, errors.New("invalid HTTP verb")
	}
	path, err := CleanPath(msg.GetMethod())
	if err != nil {
		return nil, err
	}
	h, length, err := headers(req.GetMetadata())
	if err != nil {
		return nil, err
	}
	setContentType(h, msg.GetContentType())
	return &Call{
		Verb: ext.GetVerb().String(), Path: path, Query: ext.GetQuerystring(), Header: h, Length: length,
		Type: msg.GetData().GetTypeUrl(),
	}, nil
}

func setContentType(h http.Header, contentType string) {
	if contentType == "" {
		delete(h, "Content-Type")
	} else {
		h["Content-Type"] = []string{contentType}
	}
}

// replyHead gives the head that a reply has on the wire.
func replyHead(r *Reply) *internalsv1.InternalInvokeResponse {
	md := metadata(r.Header, 1)
	if r.Length >= 0 { // Dapr's callers drop it, ours keep it
		md["Content-Length"] = &internalsv1.ListStringValue{Values: []string{strconv.FormatInt(r.Length, 10)}}
	}
	res := &internalsv1.InternalInvokeResponse{
		Status:  &internalsv1.Status{Code: int32(r.Status)},
		Headers: md,
		Message: &commonv1.InvokeResponse{ContentType: r.Header.Get("Content-Type")},
	}
	if r.GRPC != nil {
		st := r.GRPC.Proto()
		res.Status = &internalsv1.Status{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()}
	}
	if r.Type != "" { // the value follows in frames
		res.Message.Data = &anypb.Any{TypeUrl: r.Type}
	}
	return res
}

// wireBody gives the body that a reply has on the wire and its length. What
// says an error of gRPC in HTTP's words is made anew by whoever needs it.
func wireBody(r *Reply) (io.Reader, int64) {
	if r.GRPC.Code() != codes.OK {
		return http.NoBody, 0
	}
	return r.Body, r.Length
}

// Failure gives what an HTTP caller gets as the body of a reply that is an
// error of gRPC.
func Failure(st *status.Status) ([]byte, error) {
	b, err := protojson.Marshal(st.Proto())
	if err != nil {
		return nil, fmt.Errorf("encoding the status of a reply: %w", err)
	}
	return b, nil
}

// replyOf is the inverse of replyHead. The body is not set, unless the head
// says that there is an error instead of one: then failure holds it.
func replyOf(res *internalsv1.InternalInvokeResponse) (r *Reply, failure []byte, err error) {
	st := res.GetStatus()
	if st == nil {
		return nil, nil, errNoReplyHead
	}
	h, length, err := headers(res.GetHeaders())
	if err != nil {
		return nil, nil, err
	}
	r = &Reply{Status: int(st.GetCode()), Header: h, Length: length, Type: res.GetMessage().GetData().GetTypeUrl()}
	switch {
	case r.Status < 0 || r.Status > 999:
		return nil, nil, fmt.Errorf("%d is not a status", r.Status)
	case r.Status >= 100:
		setContentType(h, res.GetMessage().GetContentType())
	case r.Status == 0 && res.GetMessage() == nil:
		// How a peer sends server-sent events.
		r.Status = http.StatusOK
		h["Content-Type"] = []string{"text/event-stream"}
		h["Cache-Control"] = []string{"no-cache"}
	case r.Status == 0:
		r.Status = http.StatusOK
		r.GRPC = status.New(codes.OK, "")
		setContentType(h, res.GetMessage().GetContentType())
	default:
		// A gRPC code: its details stand in for the body.
		r.Status = HTTPStatus(codes.Code(r.Status))
		r.GRPC = status.FromProto(&rpcstatus.Status{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()})
		if failure, err = Failure(r.GRPC); err != nil {
			return nil, nil, err
		}
		h["Content-Type"] = []string{"application/json"}
		r.Length = int64(len(failure))
	}
	return r, failure, nil
}
