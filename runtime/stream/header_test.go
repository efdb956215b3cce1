package stream

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "/": "", "a": "a", "/a/b/": "a/b", "a//b": "a/b", "a/../b": "b", "../../a": "a", "a/./b": "a/b", "a b/ü%2F": "a b/ü%2F",
	} {
		if got, err := CleanPath(in); got != want || err != nil {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"a#b", "a?b", "a\x00b", "a\rb", "a\nb", "\x7f"} {
		if got, err := CleanPath(in); err == nil || !strings.Contains(err.Error(), "invalid method") {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	f.Add("a/../../b//c")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := CleanPath(in)
		if err != nil {
			return
		}
		if again, err := CleanPath(got); again != got || err != nil {
			t.Errorf("%q became %q, and that %q, %v", in, got, again, err)
		}
		for part := range strings.SplitSeq(got, "/") {
			if part == ".." || part == "." || (part == "" && got != "") {
				t.Errorf("%q became %q", in, got)
			}
		}
	})
}

func TestStamp(t *testing.T) {
	given := http.Header{"X-Forwarded-For": {"10.0.0.1"}, "Dapr-Caller-App-Id": {"forged"}, "X-Own": {"1"}}
	before := fmt.Sprint(given)
	for _, tc := range []struct {
		caller Caller
		want   string
	}{
		{Caller{AppID: "a", Namespace: "n", Addr: "fe80::1", Host: "h"}, `Forwarded=for="[fe80::1]";by="[fe80::1]";host=h X-Forwarded-For=10.0.0.1,fe80::1 X-Forwarded-Host=h`},
		{Caller{AppID: "a", Namespace: "n", Host: "h"}, `Forwarded=host=h X-Forwarded-For=10.0.0.1 X-Forwarded-Host=h`},
		{Caller{AppID: "a", Namespace: "n"}, `Forwarded= X-Forwarded-For=10.0.0.1 X-Forwarded-Host=`},
	} {
		h := http.Header{}
		for key, values := range (&Call{AppID: "x", Header: given}).StampedBy(tc.caller.Stamp(), "b").Headers {
			if h[key] != nil {
				t.Errorf("%s comes twice", key)
			}
			h[key] = values
		}
		var got []string
		for _, key := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host"} {
			got = append(got, key+"="+strings.Join(h[key], ","))
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("got %s, want %s", s, tc.want)
		}
		if h.Get(HeaderCaller) != "a" || h.Get(HeaderCallee) != "b" || h.Get(HeaderCallerNamespace) != "n" || h.Get(HeaderDestination) != "b" || h.Get("X-Own") != "1" {
			t.Errorf("headers %v", h)
		}
		if fmt.Sprint(given) != before {
			t.Fatalf("the given headers were changed: %v", given)
		}
	}
}

func TestStripHopByHop(t *testing.T) {
	h := http.Header{
		"Connection": {"close, x-one", " X-Two "}, "X-One": {"1"}, "X-Two": {"2"}, "Keep-Alive": {"1"}, "Te": {"trailers"},
		"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"x"}, "X-Three": {"3"},
	}
	StripHopByHop(h)
	if fmt.Sprint(h) != "map[X-Three:[3]]" {
		t.Errorf("left: %v", h)
	}
}

func TestHTTPStatus(t *testing.T) {
	want := []int{200, 408, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500}
	for code, status := range want {
		if got := HTTPStatus(codes.Code(code)); got != status { //nolint:gosec // small numbers
			t.Errorf("%v is %d, want %d", codes.Code(code), got, status)
		}
	}
}
