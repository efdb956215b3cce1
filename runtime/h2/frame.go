package h2

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
)

const (
	headLen   = 9 // of a frame
	prefixLen = 5 // in front of a message: a flag and a length
)

// frameHead is what a frame begins with.
type frameHead struct {
	n     int // bytes that follow
	typ   http2.FrameType
	flags http2.Flags
	id    uint32 // of the stream; 0: the connection
}

func parseHead(b []byte) frameHead {
	return frameHead{
		n:     int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:   http2.FrameType(b[3]),
		flags: http2.Flags(b[4]),
		id:    binary.BigEndian.Uint32(b[5:]) & maxStreamID,
	}
}

func appendHead(b []byte, n int, typ http2.FrameType, flags http2.Flags, id uint32) []byte {
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(typ), byte(flags))
	return binary.BigEndian.AppendUint32(b, id)
}

func appendSettings(b []byte, settings ...http2.Setting) []byte {
	b = appendHead(b, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

// eachSetting goes through the payload of a SETTINGS frame.
func eachSetting(b []byte, f func(http2.Setting) error) error {
	for ; len(b) >= 6; b = b[6:] {
		s := http2.Setting{ID: http2.SettingID(binary.BigEndian.Uint16(b)), Val: binary.BigEndian.Uint32(b[2:])}
		if err := s.Valid(); err != nil {
			code := http2.ErrCodeProtocol
			if s.ID == http2.SettingInitialWindowSize {
				code = http2.ErrCodeFlowControl
			}
			return &connError{code, "a setting that cannot be: " + s.String()}
		}
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

func appendWindow(b []byte, id uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, 4, http2.FrameWindowUpdate, 0, id), uint32(n)) //nolint:gosec // less than a window
}

func appendReset(b []byte, id uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, 4, http2.FrameRSTStream, 0, id), uint32(code))
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode, why string) []byte {
	b = appendHead(b, 8+len(why), http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, why...)
}

func appendPing(b []byte, flags http2.Flags, data [8]byte) []byte {
	return append(appendHead(b, 8, http2.FramePing, flags, 0), data[:]...)
}

// unpad gives what is between the padding of a frame.
func unpad(h frameHead, b []byte) ([]byte, error) {
	if h.flags.Has(http2.FlagHeadersPadded) {
		if len(b) == 0 || int(b[0]) > len(b)-1 {
			return nil, &connError{http2.ErrCodeProtocol, "padding is longer than its frame"}
		}
		b = b[1 : len(b)-int(b[0])]
	}
	return b, nil
}

// connError is a mistake of the peer that ends the connection.
type connError struct {
	code http2.ErrCode
	text string
}

func (e *connError) Error() string { return fmt.Sprintf("HTTP/2: %s (%v)", e.text, e.code) }

// appendHeaders adds a header block, in as many frames as any peer takes.
func appendHeaders(b []byte, id uint32, block []byte, last bool) []byte {
	typ, flags := http2.FrameHeaders, http2.Flags(0)
	if last {
		flags = http2.FlagHeadersEndStream
	}
	for {
		n := min(len(block), defaultFrame)
		if n == len(block) {
			return append(appendHead(b, n, typ, flags|http2.FlagHeadersEndHeaders, id), block...)
		}
		b = append(appendHead(b, n, typ, flags, id), block[:n]...)
		typ, flags, block = http2.FrameContinuation, 0, block[n:]
	}
}
