package rpc

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"mesh/runtime/stream"
)

// forward gives the metadata that travels on: what is meant for this sidecar or
// for one connection stays behind, and so do the keys named.
func forward(md metadata.MD, without ...string) metadata.MD {
	out := make(metadata.MD, len(md)+3)
	for key, v := range md {
		switch key {
		case KeyAppID, KeyToken, keyFlow, ":authority", "content-type", "user-agent",
			"grpc-encoding", "grpc-accept-encoding", "grpc-internal-encoding-request":
			continue
		}
		if !slices.Contains(without, key) {
			out[key] = v
		}
	}
	return out
}

const binarySuffix = "-bin" // the end of keys whose values are any bytes

// FromHTTP gives headers as metadata. Those that HTTP itself defines get the
// prefix "dapr-", as in Dapr, because gRPC has its own use for them. What gRPC
// cannot carry is left out.
func FromHTTP(h http.Header) metadata.MD {
	md := make(metadata.MD, len(h)+1)
	for key, values := range h {
		name := strings.ToLower(key)
		switch {
		case key == stream.HeaderDestination, key == "Content-Length", stream.HopByHop(key):
			continue
		case strings.HasPrefix(name, ":"):
			name = "dapr-" + name[1:]
		case standard(key), strings.HasPrefix(name, "grpc-"):
			name = "dapr-" + name
		}
		if !validKey(name) {
			continue
		}
		for _, v := range values {
			if strings.HasSuffix(name, binarySuffix) {
				b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
				if err != nil {
					continue
				}
				v = string(b)
			} else if !printable(v) {
				continue
			}
			md[name] = append(md[name], v)
		}
	}
	return md
}

// ToHTTP gives metadata as headers. Binary values are in base64, as on the wire.
func ToHTTP(md metadata.MD) http.Header {
	h := make(http.Header, len(md))
	for key, values := range md {
		switch key {
		case KeyAppID, KeyToken, keyFlow,
			"content-type",            // of gRPC; a message has the real one
			"grpc-status-details-bin": // a status has them already
			continue
		}
		if strings.HasSuffix(key, binarySuffix) {
			values = slices.Clone(values)
			for i, v := range values {
				values[i] = base64.StdEncoding.EncodeToString([]byte(v))
			}
		}
		h[http.CanonicalHeaderKey(key)] = values
	}
	stream.StripHopByHop(h)
	return h
}

// standard says whether a header is one that HTTP defines for good.
func standard(key string) bool {
	switch key {
	case "Accept", "Accept-Charset", "Accept-Language", "Accept-Ranges", "Authorization", "Cache-Control", "Content-Type", "Cookie",
		"Date", "Expect", "From", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Schedule-Tag-Match",
		"If-Unmodified-Since", "Max-Forwards", "Origin", "Pragma", "Referer", "User-Agent", "Via", "Warning":
		return true
	}
	return false
}

// validKey says whether a name may be a key of metadata.
func validKey(name string) bool {
	for i := range len(name) {
		c := name[i]
		if ('a' > c || c > 'z') && ('0' > c || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return name != ""
}

// printable says whether v may be a value of metadata.
func printable(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return false
		}
	}
	return true
}
