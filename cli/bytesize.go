package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteSize is a number of bytes that several flags may say, in daprd's ways. The
// older names do not count beside the newer one.
type byteSize struct {
	bytes int64
	newer bool // the newer name was given
}

// sizeFlag is one of those flags.
type sizeFlag struct {
	to   *byteSize
	unit int64  // of a number alone, in bytes
	text string // as given
}

// flag gives the flag of that name. A number alone counts bytes, but for the
// older names, where it counts what daprd counts there: MB of bodies and KB of
// headers.
func (s *byteSize) flag(name string) pflag.Value {
	f := &sizeFlag{to: s, unit: 1}
	switch name {
	case "http-max-request-size", "dapr-http-max-request-size":
		f.unit = 1 << 20
	case "http-read-buffer-size", "dapr-http-read-buffer-size":
		f.unit = 1 << 10
	}
	return f
}

// String implements pflag.Value.
func (f *sizeFlag) String() string { return f.text }

// Type implements pflag.Value.
func (*sizeFlag) Type() string { return "size" }

// Set implements pflag.Value.
func (f *sizeFlag) Set(s string) error {
	digits := strings.TrimRight(s, "KMGiBkmgb")
	n, err := strconv.ParseInt(digits, 10, 40)
	unit, ok := map[string]int64{
		"": f.unit, "B": 1, "K": 1e3, "M": 1e6, "G": 1e9, "KB": 1e3, "MB": 1e6, "GB": 1e9, "k": 1e3,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[s[len(digits):]]
	if err != nil || !ok || n > 1<<50/unit {
		return fmt.Errorf("%q is not a size such as 4Mi or 512Ki", s)
	}
	f.text = s
	if newer := f.unit == 1; newer || !f.to.newer {
		f.to.bytes, f.to.newer = max(0, n*unit), newer // daprd takes -1 for no limit
	}
	return nil
}
