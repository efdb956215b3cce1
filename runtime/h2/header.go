package h2

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const contentType = "application/grpc"

// blocks are header blocks that are sent again and again. The first time each puts
// its fields into the peer's table; once all have done so they name the places of
// the fields there, which depend on what was put in later.
type blocks struct {
	all  []block
	sent int // how many have been put into the table
}

type block struct{ first, again, plain []byte }

// newBlocks gives blocks of fields for a peer whose table has that size.
func newBlocks(table uint32, sets ...[]hpack.HeaderField) *blocks {
	size := uint32(0)
	for _, fields := range sets {
		for _, f := range fields {
			size += f.Size()
		}
	}
	if size > table {
		table = 0 // places would change with each block
	}
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	enc.SetMaxDynamicTableSizeLimit(table)
	write := func(fields []hpack.HeaderField) []byte {
		buf.Reset()
		for _, f := range fields {
			_ = enc.WriteField(f) // a bytes.Buffer takes all
		}
		return bytes.Clone(buf.Bytes())
	}
	b := &blocks{all: make([]block, len(sets))}
	for i, fields := range sets {
		b.all[i].first = write(fields)
		for _, f := range fields {
			b.all[i].plain = appendField(b.all[i].plain, f.Name, f.Value)
		}
	}
	for i, fields := range sets {
		b.all[i].again = write(fields)
	}
	return b
}

// next gives block i as it is to be sent now.
func (b *blocks) next(i int) []byte {
	switch {
	case b.sent == len(b.all):
		return b.all[i].again
	case b.sent == i:
		b.sent++
		return b.all[i].first
	}
	return b.all[i].plain
}

// appendField appends a field that no table is to remember.
func appendField(b []byte, name, value string) []byte {
	return appendText(appendText(append(b, 0), name), value)
}

// appendText appends a string literal of HPACK (RFC 7541, 5.2).
func appendText(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		b = append(b, byte(n))
	} else {
		b = append(b, 127)
		for n -= 127; n >= 128; n >>= 7 {
			b = append(b, byte(n)|128)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

// fields are those of a header block that mean something here.
type fields struct {
	status, path, contentType, timeout string
	code, message, details             string // of a status
	size                               int
}

func (f *fields) add(h hpack.HeaderField) {
	f.size += int(h.Size())
	switch h.Name {
	case ":status":
		f.status = h.Value
	case ":path":
		f.path = h.Value
	case "content-type":
		f.contentType = h.Value
	case "grpc-timeout":
		f.timeout = h.Value
	case "grpc-status":
		f.code = h.Value
	case "grpc-message":
		f.message = h.Value
	case "grpc-status-details-bin":
		f.details = h.Value
	}
}

// begins says why a reply that begins with these fields is none of gRPC's, or nil.
func (f *fields) begins() error {
	if f.status == "200" && strings.HasPrefix(f.contentType, contentType) {
		return nil
	}
	code := codes.Unknown
	switch f.status { // gRPC's http-grpc-status-mapping
	case "400":
		code = codes.Internal
	case "401":
		code = codes.Unauthenticated
	case "403":
		code = codes.PermissionDenied
	case "404":
		code = codes.Unimplemented
	case "429", "502", "503", "504":
		code = codes.Unavailable
	}
	return status.Errorf(code, "the peer answered with HTTP status %q and content type %q instead of gRPC's", f.status, f.contentType)
}

// ended gives the status of the trailers, nil for OK.
func (f *fields) ended() error {
	if f.code == "" {
		return status.Error(codes.Internal, "the reply ended without a status")
	}
	n, err := strconv.ParseUint(f.code, 10, 32)
	if err != nil {
		return status.Errorf(codes.Internal, "the reply ended with the status %q", f.code)
	}
	if codes.Code(n) == codes.OK {
		return nil
	}
	if f.details != "" {
		var st rpcstatus.Status
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(f.details, "="))
		if err == nil && proto.Unmarshal(b, &st) == nil && st.GetCode() == int32(n) { //nolint:gosec // as gRPC reads it
			return status.ErrorProto(&st)
		}
	}
	message, err := url.PathUnescape(f.message)
	if err != nil {
		message = f.message
	}
	return status.Error(codes.Code(n), message)
}

// maxStatus is about how long a status may be: a peer need not take longer headers.
const maxStatus = 128 << 10

// appendStatus appends the trailers of a call that has failed. What is too long is
// cut off or left out.
func appendStatus(b []byte, st *status.Status) []byte {
	b = appendField(b, "grpc-status", strconv.Itoa(int(st.Code())))
	if m := st.Message(); m != "" {
		b = appendField(b, "grpc-message", escape(strings.ToValidUTF8(m[:min(len(m), maxStatus)], "\uFFFD")))
	}
	if len(st.Proto().GetDetails()) > 0 {
		if p, err := proto.Marshal(st.Proto()); err == nil && len(p) <= 2*maxStatus {
			b = appendField(b, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(p))
		}
	}
	return b
}

// escape percent-encodes what a status message may not hold as it is.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// timeoutOf gives how long a call may take, as gRPC writes it; "": for ever.
func timeoutOf(ctx context.Context) string {
	end, ok := ctx.Deadline()
	if !ok {
		return ""
	}
	left := max(time.Until(end), time.Microsecond)
	if us := left.Microseconds(); us < 1e8 { // eight digits at most
		return strconv.FormatInt(us, 10) + "u"
	}
	return strconv.FormatInt(min(int64(left/time.Second)+1, 1e8-1), 10) + "S"
}

// parseTimeout reads what timeoutOf writes, or another client.
func parseTimeout(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	if len(s) >= 2 && len(s) <= 9 {
		n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
		if unit := units[s[len(s)-1]]; err == nil && unit > 0 {
			return time.Duration(min(n, uint64(1<<62/unit))) * unit, nil //nolint:gosec // eight digits
		}
	}
	return 0, fmt.Errorf("%q is not a timeout", s)
}
