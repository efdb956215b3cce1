package stream

import (
	"fmt"
	"path"
	"strings"
)

// CleanPath gives the method of a call in the form that Call.Path has: decoded
// by the caller, cleaned of empty and dot segments, without slashes at either
// end. Characters that could change where a request goes are an error.
func CleanPath(method string) (string, error) {
	for i := range len(method) {
		switch c := method[i]; {
		case c == '#', c == '?':
			return "", fmt.Errorf("invalid method: %q may not be in a path", c)
		case c < ' ', c == 0x7f:
			return "", fmt.Errorf("invalid method: control character %q may not be in a path", c)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+method), "/"), nil
}
