package stream

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

var someHeaders = []http.Header{
	{},
	{"A": {""}},
	{"X-One": {"1"}, "X-Two": {"2", "", "3"}, "Accept": {"text/event-stream"}, "Dapr-Caller-App-Id": {"me"}},
	{"X-Long": {strings.Repeat("long ", 1000)}, "X-Many": slices.Repeat([]string{"v"}, 300)},
}

// metadataOf gives headers as generated code has them.
func metadataOf(h http.Header, length int64) map[string]*internalsv1.ListStringValue {
	md := map[string]*internalsv1.ListStringValue{}
	for key, values := range h {
		md[wireKey(key)] = list(values...)
	}
	if length >= 0 {
		md["Content-Length"] = list(strconv.FormatInt(length, 10))
	}
	return md
}

func TestRequestHeadIsProtobuf(t *testing.T) {
	for _, h := range someHeaders {
		for _, length := range []int64{-1, 0, 1 << 40} {
			for _, typ := range []string{"", "type.googleapis.com/a.B"} {
				c := &Call{AppID: "callee", Verb: "PATCH", Path: "a/b", Query: "q=1", Header: h, Body: http.NoBody, Length: length, Type: typ}
				want := wireHead(commonv1.HTTPExtension_PATCH)
				want.Metadata = metadataOf(h, length)
				if len(want.Metadata) == 0 {
					want.Metadata = metadataOf(http.Header{"Destination-App-Id": {"callee"}}, -1)
				}
				want.Message.Method, want.Message.HttpExtension.Querystring = "a/b", "q=1"
				if typ != "" {
					want.Message.Data = &anypb.Any{TypeUrl: typ}
				}
				var got internalsv1.InternalInvokeRequest
				if err := proto.Unmarshal(requestHead(c)[headRoom:], &got); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(&got, want) {
					t.Errorf("got  %v\nwant %v", &got, want)
				}
				// And with its body, as the message of a unary call.
				want.Message.Data = &anypb.Any{TypeUrl: typ, Value: []byte("body")}
				got.Reset()
				u := unaryMessage(requestHead(c), reqMessage, msgData, []byte("body"))
				if err := proto.Unmarshal(append(u.front, u.data...), &got); err != nil || !proto.Equal(&got, want) {
					t.Errorf("unary: got %v, %v", &got, err)
				}
			}
		}
	}
}

func TestReplyHeadIsProtobuf(t *testing.T) {
	notFound, err := status.New(codes.NotFound, "no such order").WithDetails(wireHead(commonv1.HTTPExtension_GET))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range someHeaders {
		for _, st := range []*status.Status{nil, status.New(codes.OK, ""), notFound} {
			r := &Reply{Status: 404, Header: h.Clone(), Length: 70, Type: "type.googleapis.com/a.B", GRPC: st}
			r.Header.Set("Content-Type", "text/csv")
			want := &internalsv1.InternalInvokeResponse{
				Status:  &internalsv1.Status{Code: 404},
				Headers: metadataOf(r.Header, 70),
				Message: &commonv1.InvokeResponse{ContentType: "text/csv", Data: &anypb.Any{TypeUrl: r.Type}},
			}
			if st != nil {
				want.Status = &internalsv1.Status{Code: int32(st.Code()), Message: st.Message(), Details: st.Proto().GetDetails()}
			}
			var got internalsv1.InternalInvokeResponse
			if err := proto.Unmarshal(replyHead(r)[headRoom:], &got); err != nil || !proto.Equal(&got, want) {
				t.Errorf("got  %v, %v\nwant %v", &got, err, want)
			}
			var back response
			b := encode(t, want)
			if err := back.decode(b, string(b)); err != nil {
				t.Fatal(err)
			}
			reply, _, err := back.reply()
			if err != nil {
				t.Fatal(err)
			}
			if st != nil && (reply.GRPC.Code() != st.Code() || len(reply.GRPC.Proto().GetDetails()) != len(st.Proto().GetDetails())) {
				t.Errorf("the status came back as %v", reply.GRPC)
			}
			if st == nil && reply.Status != 404 {
				t.Errorf("the status came back as %d", reply.Status)
			}
			if st.Code() == codes.OK && (!reflect.DeepEqual(reply.Header, r.Header) || reply.Length != 70) {
				t.Errorf("headers came back as %v", reply.Header)
			}
		}
	}
}

func TestHeadersThatHTTPCannotCarry(t *testing.T) {
	for key, value := range map[string]string{"X-A\r\nX-B": "1", "X A": "1", "": "1", "X-C": "1\r\nX-D: 2", "X-E": "\x00"} {
		req := wireHead(commonv1.HTTPExtension_GET)
		req.Metadata[key] = list(value)
		var r request
		if err := r.decode(encode(t, req), ""); err == nil {
			t.Errorf("%q: %q was let through", key, value)
		}
		res := okHead()
		res.Headers[key] = list(value)
		var p response
		if err := p.decode(encode(t, res), ""); err == nil {
			t.Errorf("%q: %q was let through in a reply", key, value)
		}
	}
	for key, value := range map[string]string{":authority": "a", "grpc-timeout": "1S", "x-bin": "\x00\xff", "X-Latin": "caf\xe9"} {
		s := newFieldset(0)
		if err := s.add(key, value); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// FuzzHead holds our reading of heads to that of the generated code.
func FuzzHead(f *testing.F) {
	h := wireHead(commonv1.HTTPExtension_POST)
	h.Metadata["X-Two"] = list("a", "b")
	h.Message.Data = &anypb.Any{TypeUrl: "t", Value: []byte("data")}
	f.Add(encode(f, h))
	f.Add(append(encode(f, h), encode(f, wireHead(commonv1.HTTPExtension_GET))...))
	f.Add(encode(f, okHead()))
	f.Add(requestHead(&Call{Verb: "PUT", Path: "p", Query: "q", Header: http.Header{"A": {"1"}}})[headRoom:])
	f.Fuzz(func(t *testing.T, b []byte) {
		var want internalsv1.InternalInvokeRequest
		if proto.Unmarshal(b, &want) == nil {
			var got request
			if got.decode(b, string(b)) != nil {
				return // we are stricter with headers
			}
			msg := want.GetMessage()
			if got.message != (msg != nil) || got.method != msg.GetMethod() || got.contentType != msg.GetContentType() ||
				got.query != msg.GetHttpExtension().GetQuerystring() || int32(got.verb) != int32(msg.GetHttpExtension().GetVerb()) || //nolint:gosec // as protobuf does
				got.typ != msg.GetData().GetTypeUrl() || string(got.data) != string(msg.GetData().GetValue()) {
				t.Errorf("got %+v of %v", got, &want)
			}
			checkHeaders(t, got.metadata, want.GetMetadata())
		}
		var reply internalsv1.InternalInvokeResponse
		if proto.Unmarshal(b, &reply) == nil {
			var got response
			if got.decode(b, string(b)) != nil {
				return
			}
			if (got.status != nil) != (reply.Status != nil) || got.code != reply.GetStatus().GetCode() || got.message != (reply.Message != nil) ||
				got.contentType != reply.GetMessage().GetContentType() || string(got.data) != string(reply.GetMessage().GetData().GetValue()) {
				t.Errorf("got %+v of %v", got, &reply)
			}
			checkHeaders(t, got.headers, reply.GetHeaders())
			_, _, _ = got.reply()
		}
		var once request
		if once.decode(b, "") == nil {
			if c, err := once.call(); err == nil && strings.ContainsAny(c.Path, "?#\r\n") {
				t.Errorf("path %q", c.Path)
			}
		}
	})
}

// checkHeaders looks for every value in the other. A key that is sent twice
// counts once for protobuf, its last; for us like a header that is sent twice.
func checkHeaders(t *testing.T, got *fieldset, want map[string]*internalsv1.ListStringValue) {
	t.Helper()
	for key, values := range want {
		if key = http.CanonicalHeaderKey(key); key == "Content-Length" {
			continue
		}
		for _, v := range values.GetValues() {
			if !slices.Contains(got.h[key], v) {
				t.Errorf("%s: %q is not among %q", key, v, got.h[key])
			}
		}
	}
}
