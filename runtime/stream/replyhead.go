package stream

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The fields of InternalInvokeResponse and what it holds.
const (
	resStatus   = 1
	resHeaders  = 2
	resTrailers = 3
	resMessage  = 4

	statusCode = 1

	resData        = 1
	resContentType = 2
)

// replyHead gives the InternalInvokeResponse of a reply, after headRoom bytes.
func replyHead(r *Reply) []byte {
	contentType := ""
	if v := r.Header["Content-Type"]; len(v) > 0 {
		contentType = v[0]
	}
	b := make([]byte, headRoom, headRoom+roomFor(r.Header)+sizeOfText(contentType)+sizeOfType(r.Type)+56)
	b = appendStatus(b, r)
	b = appendHeaders(b, resHeaders, r.Header)
	if r.Length >= 0 { // Dapr's callers drop it, ours keep it
		b = appendEntry(b, resHeaders, "Content-Length", strconv.FormatInt(r.Length, 10))
	}
	b = appendLen(b, resMessage, sizeOfType(r.Type)+sizeOfText(contentType))
	b = appendType(b, resData, r.Type)
	return appendText(b, resContentType, contentType)
}

// appendStatus appends a reply's status: HTTP's, or what an app answered that
// speaks gRPC.
func appendStatus(b []byte, r *Reply) []byte {
	if r.GRPC != nil {
		st := r.GRPC.Proto()
		enc, err := proto.Marshal(&internalsv1.Status{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()})
		if err == nil {
			return append(appendLen(b, resStatus, len(enc)), enc...)
		}
		// Its words cannot be said in protobuf: the code has to do.
	}
	code := uint64(r.Status) //nolint:gosec // 100 and above
	if r.GRPC != nil {
		code = uint64(r.GRPC.Code())
	}
	b = appendLen(b, resStatus, 1+protowire.SizeVarint(code))
	return protowire.AppendVarint(protowire.AppendTag(b, statusCode, protowire.VarintType), code)
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

// response is an InternalInvokeResponse.
type response struct {
	status      []byte // encoded; nil: none
	code        int32
	headers     *fieldset
	trailers    *fieldset // nil: none
	message     bool
	contentType string
	typ         string // of the protobuf message in the body
	data        []byte // of a unary call; part of what was decoded
	informs     []informed
	inner       bool // is an informational reply itself
}

// decode reads a head, or the message of a unary reply. Only status and data
// refer to b afterwards.
func (r *response) decode(b []byte, text string) error {
	return eachField(b, text, func(f field) error {
		switch {
		case f.is(resStatus):
			// Sent twice, the two are one. It may be empty, but it is there.
			r.status = append(append(make([]byte, 0, len(r.status)+len(f.b)), r.status...), f.b...)
			return eachField(f.b, f.s, func(f field) error {
				if f.isNumber(statusCode) {
					r.code = int32(f.v) //nolint:gosec // as protobuf reads an int32
				}
				return nil
			})
		case f.is(resHeaders):
			return r.addTo(&r.headers, f, len(b))
		case f.is(resTrailers):
			return r.addTo(&r.trailers, f, len(b))
		case f.is(resMessage):
			r.message = true
			return eachField(f.b, f.s, r.decodeMessage)
		case f.is(informField):
			return r.addInform(f)
		}
		return nil
	})
}

func (r *response) addTo(s **fieldset, f field, size int) error {
	if *s == nil {
		*s = newFieldset(size)
	}
	return entry(f, (*s).add)
}

func (r *response) decodeMessage(f field) error {
	switch {
	case f.is(resContentType):
		r.contentType = f.text()
	case f.is(resData):
		return eachField(f.b, f.s, func(f field) error {
			switch {
			case f.is(anyType):
				r.typ = f.text()
			case f.is(anyValue):
				r.data = f.b
			}
			return nil
		})
	}
	return nil
}

// reply gives the reply of a head. The body is not set, unless the head says
// that there is an error instead of one: then failure holds it.
func (r *response) reply() (reply *Reply, failure []byte, err error) {
	if r.status == nil {
		return nil, nil, errNoReplyHead
	}
	if r.headers == nil {
		r.headers = newFieldset(0)
	}
	h := r.headers.h
	StripHopByHop(h)
	reply = &Reply{Status: int(r.code), Header: h, Length: r.headers.length, Type: r.typ}
	switch {
	case r.code < 0 || r.code > 999:
		return nil, nil, fmt.Errorf("%d is not a status", r.code)
	case r.code >= 100:
		err = setContentType(h, r.contentType)
	case r.code == 0 && !r.message:
		// How a peer sends server-sent events.
		reply.Status = http.StatusOK
		h["Content-Type"] = []string{"text/event-stream"}
		h["Cache-Control"] = []string{"no-cache"}
	case r.code == 0:
		reply.Status, reply.GRPC = http.StatusOK, status.New(codes.OK, "")
		err = setContentType(h, r.contentType)
	default:
		// A gRPC code: its details stand in for the body.
		reply.Status = HTTPStatus(codes.Code(r.code))
		var st internalsv1.Status
		if err = proto.Unmarshal(r.status, &st); err == nil {
			reply.GRPC = status.FromProto(&rpcstatus.Status{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()})
			failure, err = Failure(reply.GRPC)
		}
		h["Content-Type"] = []string{"application/json"}
		reply.Length = int64(len(failure))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the head of a reply: %w", err)
	}
	return reply, failure, nil
}
