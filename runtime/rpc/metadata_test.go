package rpc

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
)

// TestFromHTTP turns headers into what gRPC can carry.
func TestFromHTTP(t *testing.T) {
	got := FromHTTP(http.Header{
		"X-Two":              {"a", "b"},
		"Authorization":      {"Bearer x"},
		"Content-Type":       {"text/plain"},
		"User-Agent":         {"curl"},
		"Grpc-Timeout":       {"1S"},
		":authority":         {"host"},
		"Content-Length":     {"5"},
		"Destination-App-Id": {"b"},
		"Transfer-Encoding":  {"chunked"},
		"X-Raw-Bin":          {"AP8=", "AP8", "not base64!"},
		"X-Text":             {"caf\u00e9", "plain"},
		"X Bad":              {"1"},
		"Dapr-Caller-App-Id": {"a"},
	})
	want := metadata.MD{
		"x-two":              {"a", "b"},
		"dapr-authorization": {"Bearer x"},
		"dapr-content-type":  {"text/plain"},
		"dapr-user-agent":    {"curl"},
		"dapr-grpc-timeout":  {"1S"},
		"dapr-authority":     {"host"},
		"x-raw-bin":          {"\x00\xff", "\x00\xff"},
		"x-text":             {"plain"},
		"dapr-caller-app-id": {"a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestToHTTP turns metadata into headers, and back into the same metadata.
func TestToHTTP(t *testing.T) {
	md := metadata.MD{
		"x-two": {"a", "b"}, "x-raw-bin": {"\x00\xff"}, "content-type": {"application/grpc"}, "te": {"trailers"},
		"dapr-app-id": {"b"}, "dapr-api-token": {"secret"}, "mesh-flow": {"1"}, "grpc-status-details-bin": {"\x01"},
	}
	h := ToHTTP(md)
	if diff := cmp.Diff(http.Header{"X-Two": {"a", "b"}, "X-Raw-Bin": {"AP8="}}, h); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(metadata.MD{"x-two": {"a", "b"}, "x-raw-bin": {"\x00\xff"}}, FromHTTP(h)); diff != "" {
		t.Error(diff)
	}
	if md["x-raw-bin"][0] != "\x00\xff" {
		t.Error("the metadata itself has been changed")
	}
}

// FuzzFromHTTP makes sure that no header makes metadata that gRPC refuses.
func FuzzFromHTTP(f *testing.F) {
	f.Add("X-A", "1")
	f.Add("X-A-Bin", "AA==")
	f.Add("Grpc-Status", "\x00")
	f.Fuzz(func(t *testing.T, key, value string) {
		for k, values := range FromHTTP(http.Header{key: {value}}) {
			if !validKey(k) {
				t.Errorf("key %q of header %q", k, key)
			}
			for _, v := range values {
				if !printable(v) && k[max(0, len(k)-len(binarySuffix)):] != binarySuffix {
					t.Errorf("value %q of %s", v, k)
				}
			}
		}
	})
}

func TestSubtype(t *testing.T) {
	for contentType, want := range map[string]string{
		"application/grpc": "", "application/grpc+proto": "proto", "application/grpc+json": "json", "application/grpcx": "", "text/plain": "", "": "",
	} {
		if got := subtype(metadata.MD{"content-type": {contentType}}); got != want {
			t.Errorf("%q has the subtype %q, want %q", contentType, got, want)
		}
	}
}
