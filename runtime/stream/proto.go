package stream

import (
	"errors"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// The heads of calls are read and written by hand, like frames: the generated
// code goes through maps, reflection and a dozen allocations for each header.
// The tests hold what is here to the generated code.

var errHeadEncoding = errors.New("malformed head")

// field is one field of a message.
type field struct {
	num protowire.Number
	typ protowire.Type
	v   uint64 // of a varint
	b   []byte // of anything with a length
	s   string // the same; "" when there is no string to cut it out of
}

// text gives the field as a string.
func (f *field) text() string {
	if len(f.s) == len(f.b) {
		return f.s
	}
	return string(f.b)
}

// is says whether the field is that one and has a length.
func (f *field) is(num protowire.Number) bool { return f.num == num && f.typ == protowire.BytesType }

// isNumber says whether the field is that one and is a varint.
func (f *field) isNumber(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.VarintType
}

// eachField calls f for each field of a message. When the message is given as
// a string too, strings are cut out of that, so that all are one allocation.
func eachField(b []byte, s string, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errHeadEncoding
		}
		fld := field{num: num, typ: typ}
		size := 0
		switch typ {
		case protowire.VarintType:
			fld.v, size = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			fld.b, size = protowire.ConsumeBytes(b[n:])
			if size >= 0 && s != "" {
				fld.s = s[n+size-len(fld.b) : n+size]
			}
		case protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType, protowire.EndGroupType:
			size = protowire.ConsumeFieldValue(num, typ, b[n:])
		default:
			return errHeadEncoding
		}
		if size < 0 {
			return errHeadEncoding
		}
		if err := f(fld); err != nil {
			return err
		}
		if b = b[n+size:]; s != "" {
			s = s[n+size:]
		}
	}
	return nil
}

// entry is one entry of the map<string, ListStringValue> that headers are in.
func entry(f field, add func(key, value string) error) error {
	var key string
	var lists []field
	// The key comes first, but nothing says that it must.
	var list field
	n := 0
	err := eachField(f.b, f.text(), func(f field) error {
		switch {
		case f.is(1):
			key = f.text()
		case f.is(2):
			if n++; n == 1 {
				list = f
			} else {
				lists = append(lists, f)
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		return err
	}
	values := func(list field) error {
		return eachField(list.b, list.s, func(f field) error {
			if f.is(1) {
				return add(key, f.text())
			}
			return nil
		})
	}
	if err := values(list); err != nil {
		return err
	}
	for _, list := range lists {
		if err := values(list); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf gives the size of a field whose value has n bytes. All numbers here
// are below 16, and so their tags have one byte.
func sizeOf(n int) int { return 1 + protowire.SizeVarint(uint64(n)) + n }

// appendLen begins a field whose value, of n bytes, is to follow.
func appendLen(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
}

// appendText appends a string, unless it is empty.
func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendLen(b, num, len(s)), s...)
}

func sizeOfText(s string) int {
	if s == "" {
		return 0
	}
	return sizeOf(len(s))
}

// appendEntry appends an entry of a map<string, ListStringValue>.
func appendEntry(b []byte, num protowire.Number, key string, values ...string) []byte {
	list := 0
	for _, v := range values {
		list += sizeOf(len(v))
	}
	b = appendLen(b, num, sizeOf(len(key))+sizeOf(list))
	b = append(appendLen(b, 1, len(key)), key...)
	b = appendLen(b, 2, list)
	for _, v := range values {
		b = append(appendLen(b, 1, len(v)), v...)
	}
	return b
}

// appendHeaders appends headers as entries, but for Content-Length.
func appendHeaders(b []byte, num protowire.Number, h http.Header) []byte {
	for key, values := range h {
		b = appendHeader(b, num, key, values)
	}
	return b
}

func appendHeader(b []byte, num protowire.Number, key string, values []string) []byte {
	if key == "Content-Length" {
		return b
	}
	return appendEntry(b, num, wireKey(key), values...)
}

// stampRoom is about what the headers of a Stamp take.
const stampRoom = 320

// roomFor estimates how many bytes headers take.
func roomFor(h http.Header) (n int) {
	for key, values := range h {
		n += len(key) + 12
		for _, v := range values {
			n += len(v) + 4
		}
	}
	return n
}
