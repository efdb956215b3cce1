package decode

import (
	"encoding/binary"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// prefix is what gRPC puts before each message: whether it is compressed, and
// its length.
const prefix = 5

// frame reads the prefix of a message.
func frame(b []byte) (n int, compressed, ok bool) {
	if len(b) < prefix || b[0] > 1 {
		return 0, false, false
	}
	return int(binary.BigEndian.Uint32(b[1:])), b[0] == 1, true
}

// frames adds gRPC messages with their fields.
func (o *out) frames(b []byte) {
	for len(b) > 0 && !o.full() {
		n, compressed, ok := frame(b)
		if !ok {
			o.add("", fmt.Appendf(nil, "%d bytes that are no gRPC message:", len(b)))
			o.hex(b)
			return
		}
		b = b[prefix:]
		m := b[:min(n, len(b))]
		b = b[len(m):]
		switch {
		case compressed:
			o.add("", fmt.Appendf(nil, "message of %d bytes, compressed", n))
			o.hex(m)
		case len(m) < n:
			o.add("", fmt.Appendf(nil, "message of %d bytes, of which %d are here:", n, len(m)))
			o.message("  ", m, 0)
		default:
			o.add("", fmt.Appendf(nil, "message of %d bytes", n))
			o.message("  ", m, 0)
		}
	}
}

// deepest is how deep messages in messages are looked into.
const deepest = 12

// message adds the fields of a message, and what of it is none as numbers.
func (o *out) message(indent string, b []byte, depth int) {
	for len(b) > 0 && !o.full() {
		n := o.field(indent, b, depth)
		if n < 0 {
			o.add(indent, fmt.Appendf(nil, "%d bytes that are no field:", len(b)))
			o.hex(b)
			return
		}
		b = b[n:]
	}
}

// field adds one field and gives its length, -1 when it is none.
func (o *out) field(indent string, b []byte, depth int) int {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return -1
	}
	size := protowire.ConsumeFieldValue(num, typ, b[n:])
	if size < 0 {
		return -1
	}
	v := b[n : n+size]
	say := func(format string, args ...any) {
		o.add(indent, fmt.Appendf(nil, "%d: "+format, append([]any{num}, args...)...))
	}
	switch typ {
	case protowire.VarintType:
		x, _ := protowire.ConsumeVarint(v)
		say("%d", x)
	case protowire.Fixed32Type:
		x, _ := protowire.ConsumeFixed32(v)
		say("0x%08x", x)
	case protowire.Fixed64Type:
		x, _ := protowire.ConsumeFixed64(v)
		say("0x%016x", x)
	case protowire.BytesType:
		data, _ := protowire.ConsumeBytes(v)
		o.bytes(indent, int(num), data, depth)
	case protowire.StartGroupType:
		group, _ := protowire.ConsumeGroup(num, v)
		say("{")
		o.message(indent+"  ", group, depth+1)
		o.add(indent, []byte("}"))
	case protowire.EndGroupType:
		return -1
	default:
		return -1
	}
	return n + size
}

// bytes adds a field that may be text, a message, or neither.
func (o *out) bytes(indent string, num int, data []byte, depth int) {
	switch {
	case len(data) == 0:
		o.add(indent, fmt.Appendf(nil, `%d: ""`, num))
	case printable(data):
		lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
		if len(lines) == 1 {
			o.add(indent, fmt.Appendf(nil, "%d: \"%s\"", num, data))
			return
		}
		o.add(indent, fmt.Appendf(nil, "%d: %d bytes of text:", num, len(data)))
		o.text(indent+"  ", data)
	case depth < deepest && isMessage(data, depth):
		o.add(indent, fmt.Appendf(nil, "%d {", num))
		o.message(indent+"  ", data, depth+1)
		o.add(indent, []byte("}"))
	default:
		o.add(indent, fmt.Appendf(nil, "%d: %d bytes:", num, len(data)))
		o.hex(data)
	}
}

// isMessage says whether bytes may be a message: fields to their end.
func isMessage(b []byte, depth int) bool {
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 || num > 1<<16 || depth > deepest {
			return false
		}
		b = b[n:]
	}
	return true
}
