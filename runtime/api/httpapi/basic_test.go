package httpapi

import (
	"net/http"
	"testing"
)

func TestBasicInvoke(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	res, body := do(t, "POST", s.url("/v1.0/invoke/b/method/a/b?x=1"), "hello", "X-Foo", "bar")
	if res.StatusCode != 200 || body != "hello" || res.Header.Get("X-Uri") != "/a/b?x=1" || res.Header.Get("X-Saw-X-Foo") != "bar" {
		t.Errorf("status %d %q %v", res.StatusCode, body, res.Header)
	}
}
