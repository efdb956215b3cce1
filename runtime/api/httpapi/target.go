package httpapi

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"mesh/runtime/api"
	"mesh/runtime/stream"
)

const appIDHeader = "Dapr-App-Id"

// target is whom a request is for.
type target struct {
	appID string
	path  string // with the leading slash, decoded and cleaned
}

// findTarget finds the app that a request names: in the header dapr-app-id,
// which it removes; in the user name and password of basic authentication,
// which it leaves; or in the path. path is decoded.
func findTarget(path string, h http.Header) (target, error) {
	if ids := h[appIDHeader]; len(ids) > 0 && ids[0] != "" {
		delete(h, appIDHeader)
		return newTarget(ids[0], path)
	}
	if auth, ok := h["Authorization"]; ok {
		if id := basicAppID(auth[0]); id != "" {
			return newTarget(id, path)
		}
	}
	if rest, ok := cutSegments(path, "v1.0", "invoke"); ok {
		// The id may hold slashes itself: http://host:port.
		if i := strings.Index(rest, "/method/"); i > 0 {
			id := rest[:i]
			if strings.Contains(id, "%") {
				if s, err := url.QueryUnescape(id); err == nil && s != "" {
					id = s
				}
			}
			return newTarget(id, rest[i+len("/method"):])
		}
	}
	e := api.Errorf(api.ErrDirectInvoke, "failed getting app id either from the URL path or the header dapr-app-id")
	e.HTTP = http.StatusNotFound
	return target{}, e
}

func newTarget(id, path string) (target, error) {
	clean, err := cleanPath(path)
	if err != nil {
		return target{}, api.Wrap(api.ErrDirectInvoke, err, "failed to invoke, id: %s, err: %v", id, err)
	}
	return target{appID: id, path: clean}, nil
}

// cleanPath gives the path in its clean form, which most paths have already.
func cleanPath(path string) (string, error) {
	clean := strings.HasPrefix(path, "/") && (len(path) == 1 || !strings.HasSuffix(path, "/"))
	for i := range len(path) {
		switch c := path[i]; {
		case c == '#', c == '?', c < ' ', c == 0x7f:
			clean = false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			clean = false
		}
	}
	if clean {
		return path, nil
	}
	p, err := stream.CleanPath(path)
	return "/" + p, err
}

// basicAppID gives the app id in "Basic base64(dapr-app-id:<id>)", or "".
func basicAppID(auth string) string {
	code, ok := strings.CutPrefix(auth, "Basic ")
	if !ok {
		return ""
	}
	pair, err := base64.StdEncoding.DecodeString(code)
	if err != nil {
		return ""
	}
	user, id, ok := strings.Cut(string(pair), ":")
	if !ok || strings.Contains(id, ":") || !strings.EqualFold(user, "dapr-app-id") {
		return ""
	}
	return id
}

// cutSegments cuts those first segments off a path, with the slashes around
// them, however many.
func cutSegments(path string, segments ...string) (rest string, ok bool) {
	rest = path
	for _, s := range segments {
		rest, ok = strings.CutPrefix(strings.TrimLeft(rest, "/"), s)
		if !ok || !strings.HasPrefix(rest, "/") {
			return "", false
		}
	}
	return strings.TrimLeft(rest, "/"), true
}

// verb gives the method with which the app is called. What Dapr's wire has no
// word for becomes POST.
func verb(method string) (string, error) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodOptions, http.MethodTrace, http.MethodPatch:
		return method, nil
	case http.MethodConnect:
		return "", api.Errorf(api.ErrDirectInvoke, "CONNECT cannot be invoked on an app")
	}
	return http.MethodPost, nil
}
