package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"testing"
)

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestAddressing(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	for _, tc := range []struct {
		name, method, path string
		header             []string
		uri                string // as the app sees it; "": the call is refused
		status             int
		says               string
	}{
		{"path", "GET", "/v1.0/invoke/b/method/a/b", nil, "/a/b", 200, ""},
		{"path, query byte for byte", "GET", "/v1.0/invoke/b/method/a?x=%20&x=%2f;&&y", nil, "/a?x=%20&x=%2f;&&y", 200, ""},
		{"path, repeated slashes", "GET", "//v1.0//invoke///b/method/a//b/", nil, "/a/b", 200, ""},
		{"path, dot segments", "GET", "/v1.0/invoke/b/method/a/../../c/./d", nil, "/c/d", 200, ""},
		{"path, empty method", "GET", "/v1.0/invoke/b/method/", nil, "/", 200, ""},
		{"path, method named method", "GET", "/v1.0/invoke/b/method/method/method", nil, "/method/method", 200, ""},
		{"path, escaped slash", "GET", "/v1.0/invoke/b/method/a%2Fb", nil, "/a/b", 200, ""},
		{"path, escaped space", "GET", "/v1.0/invoke/b/method/a%20b", nil, "/a%20b", 200, ""},
		{"path, not ASCII", "GET", "/v1.0/invoke/b/method/%C3%BC", nil, "/%C3%BC", 200, ""},
		{"path, sub-delimiters", "GET", "/v1.0/invoke/b/method/a;b=(1)!*'@:,&$+", nil, "/a;b=(1)!*'@:,&$+", 200, ""},
		{"header", "GET", "/a/b?x", []string{"dapr-app-id", "b"}, "/a/b?x", 200, ""},
		{"header, root", "GET", "/", []string{"dapr-app-id", "b"}, "/", 200, ""},
		{"header before the others", "GET", "/v1.0/invoke/c/method/x", []string{"dapr-app-id", "b", "Authorization", basic("dapr-app-id:c")}, "/v1.0/invoke/c/method/x", 200, ""},
		{"basic auth", "GET", "/a//b", []string{"Authorization", basic("dapr-app-id:b")}, "/a/b", 200, ""},
		{"basic auth, upper case", "GET", "/a", []string{"Authorization", basic("DAPR-APP-ID:b")}, "/a", 200, ""},
		{"basic auth before the path", "GET", "/v1.0/invoke/c/method/x", []string{"Authorization", basic("dapr-app-id:b")}, "/v1.0/invoke/c/method/x", 200, ""},
		{"someone else's basic auth", "GET", "/v1.0/invoke/b/method/x", []string{"Authorization", basic("joe:secret")}, "/x", 200, ""},
		{"bearer", "GET", "/v1.0/invoke/b/method/x", []string{"Authorization", "Bearer abc"}, "/x", 200, ""},
		{"verb that a route does not have", "DELETE", "/v1.0/healthz", []string{"dapr-app-id", "b"}, "/v1.0/healthz", 200, ""},
		{"route with something behind", "GET", "/v1.0/healthz/other", []string{"dapr-app-id", "b"}, "/v1.0/healthz/other", 200, ""},

		{"nobody named", "GET", "/v1.0/healtz", nil, "", 404, "failed getting app id either from the URL path or the header dapr-app-id"},
		{"no method", "GET", "/v1.0/invoke/b/method", nil, "", 404, "failed getting app id"},
		{"no id", "GET", "/v1.0/invoke/method/x", nil, "", 404, "failed getting app id"},
		{"basic auth with three parts", "GET", "/a", []string{"Authorization", basic("dapr-app-id:b:c")}, "", 404, "failed getting app id"},
		{"unknown app", "GET", "/v1.0/invoke/nobody/method/x", nil, "", 500, "failed to invoke, id: nobody, err: "},
		{"url as id", "GET", "/v1.0/invoke/http://example.com:80/method/x", nil, "", 500, "failed to invoke, id: http://example.com:80, err: "},
		{"escaped url as id", "GET", "/v1.0/invoke/https%3A%2F%2Fexample.com/method/x", nil, "", 500, "failed to invoke, id: https://example.com, err: "},
		{"hash", "GET", "/v1.0/invoke/b/method/a%23b", nil, "", 500, "invalid method"},
		{"question mark", "GET", "/v1.0/invoke/b/method/a%3Fb", nil, "", 500, "invalid method"},
		{"percent", "GET", "/v1.0/invoke/b/method/a%25b", nil, "", 500, "invalid method"},
		{"percent at the end", "GET", "/v1.0/invoke/b/method/100%25", nil, "", 500, "invalid method"},
		{"twice escaped", "GET", "/v1.0/invoke/b/method/%252e%252e/x%2541", nil, "/%2e%2e/x%41", 200, ""},
		{"control character", "GET", "/v1.0/invoke/b/method/a%0Ab", nil, "", 500, "invalid method"},
		{"zero byte", "GET", "/v1.0/invoke/b/method/a%00b", nil, "", 500, "invalid method"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := do(t, tc.method, s.url(tc.path), "", tc.header...)
			if res.StatusCode != tc.status || res.Header.Get("X-Uri") != tc.uri {
				t.Fatalf("status %d, the app sees %q; want %d, %q: %s", res.StatusCode, res.Header.Get("X-Uri"), tc.status, tc.uri, res.text)
			}
			if tc.uri != "" {
				return
			}
			var e struct{ ErrorCode, Message string }
			if err := json.Unmarshal([]byte(res.text), &e); err != nil || e.ErrorCode != "ERR_DIRECT_INVOKE" || !strings.Contains(e.Message, tc.says) {
				t.Errorf("the body is %s, want %q in it", res.text, tc.says)
			}
			if ct := res.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("the content type is %q", ct)
			}
		})
	}
}

func TestVerbs(t *testing.T) {
	s := start(t, http.HandlerFunc(echo), nil)
	for sent, want := range map[string]string{
		"GET": "GET", "POST": "POST", "PUT": "PUT", "DELETE": "DELETE", "PATCH": "PATCH", "OPTIONS": "OPTIONS", "HEAD": "HEAD",
		"TRACE": "TRACE", "PROPFIND": "POST",
	} {
		res := do(t, sent, s.url("/v1.0/invoke/b/method/x"), "")
		if got := res.Header.Get("X-Verb"); got != want {
			t.Errorf("%s reaches the app as %q, want %q", sent, got, want)
		}
	}
	text := raw(t, s, "CONNECT /v1.0/invoke/b/method/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(text, "HTTP/1.1 500 ") || !strings.Contains(text, "ERR_DIRECT_INVOKE") {
		t.Errorf("CONNECT gives %q", text)
	}
}

// FuzzTarget looks for paths and headers that reach another app or path than
// was checked.
func FuzzTarget(f *testing.F) {
	f.Add("/v1.0/invoke/b/method/a/b", "", "")
	f.Add("//v1.0/invoke//http://x:1/method//../a%41/", "", "")
	f.Add("/a/./b//", "b", "")
	f.Add("/", "", basic("dapr-app-id:b"))
	f.Add("*", "", "Basic !")
	f.Fuzz(func(t *testing.T, p, id, auth string) {
		h := http.Header{"Dapr-App-Id": {id}, "Authorization": {auth}}
		to, err := findTarget(p, h)
		if err != nil {
			return
		}
		if id != "" && (to.appID != id || h.Get("Dapr-App-Id") != "") {
			t.Errorf("the header names %q, the target is %q, and the header is left: %v", id, to.appID, h)
		}
		if to.appID == "" {
			t.Error("nobody is called")
		}
		if path.Clean(to.path) != to.path || to.path[0] != '/' {
			t.Errorf("the path is not clean: %q", to.path)
		}
		if strings.ContainsAny(to.path, "#?\x00\r\n\x7f") {
			t.Errorf("the path holds what it may not: %q", to.path)
		}
		if !strings.Contains(p+"/", to.path[strings.LastIndex(to.path, "/")+1:]) {
			t.Errorf("the path %q has an end that is not in %q", to.path, p)
		}
	})
}
