package stream

import (
	"io"
	"net/http"
	"net/textproto"
	"strings"
)

// The headers with which sidecars tell each other who calls whom.
const (
	HeaderDestination     = "Destination-App-Id"
	HeaderCaller          = "Dapr-Caller-App-Id"
	HeaderCallerNamespace = "Dapr-Caller-Namespace"
	HeaderCallee          = "Dapr-Callee-App-Id"
)

// HopByHop says whether the header with that canonical key is meant for one
// connection only and so never travels with a Call or a Reply.
func HopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade",
		"Http2-Settings", "Te", "Trailer", "Proxy-Authorization", "Proxy-Authenticate":
		return true
	}
	return false
}

// StripHopByHop removes from h what HopByHop names and what its Connection
// headers name. It changes h in place: the edge that parsed h calls it once.
func StripHopByHop(h http.Header) {
	if named, ok := h["Connection"]; ok {
		for _, list := range named {
			for name := range strings.SplitSeq(list, ",") {
				if name = textproto.TrimString(name); name != "" {
					h.Del(name)
				}
			}
		}
	}
	for key := range h {
		if HopByHop(key) {
			delete(h, key)
		}
	}
}

// RequestToApp gives the name under which a header of a Call reaches the app,
// and false when it does not: Dapr's own routing headers, binary metadata, what
// is framing, and what belongs to one connection. gRPC's names are prefixed as
// Dapr does. The map itself is not touched, so that a Call can be sent again.
func RequestToApp(key string) (name string, ok bool) {
	switch {
	case key == HeaderDestination, key == "Content-Length", key == "Host", HopByHop(key):
		return "", false
	case strings.HasSuffix(key, "-Bin"), strings.HasSuffix(key, "-bin"):
		return "", false
	case strings.HasPrefix(key, "Grpc-"):
		return "Dapr-" + key, true
	case strings.HasPrefix(key, "grpc-"):
		return "dapr-" + key, true
	case strings.HasPrefix(key, ":"):
		return "Dapr-" + textproto.CanonicalMIMEHeaderKey(key[1:]), true
	}
	return key, true
}

// Ready gives how many bytes can be read from a body without waiting, 0 when
// that is not known. A body tells it with a method Len() int, as bytes.Reader
// does; whoever writes the body on can then send head and first bytes at once
// instead of sending the head alone.
func Ready(body io.Reader) int {
	if l, ok := body.(interface{ Len() int }); ok {
		return l.Len()
	}
	return 0
}
