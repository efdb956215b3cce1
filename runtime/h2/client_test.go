package h2

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestClientHeaders(t *testing.T) {
	f := newFar(t, sockets)
	s, p := f.open()
	for i := range 3 { // as they are first, and again
		if i > 0 {
			s = opened(t, f.Client)
		}
		sendText(t, s, "x", Last)
		h := await[*http2.MetaHeadersFrame](p, "headers")
		if h.StreamID != uint32(1+2*i) {
			t.Errorf("stream %d", h.StreamID)
		}
		for name, want := range map[string]string{
			":method": "POST", ":scheme": "http", ":path": testMethod, ":authority": "peer:1", "content-type": "application/grpc", "te": "trailers", "grpc-timeout": "",
		} {
			if got := field(h, name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		p.awaitText(h.StreamID, "x")
		if !p.closed[h.StreamID] {
			t.Error("the stream has not ended")
		}
	}
	s, err := f.Open(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(errTest)
	sendText(t, s, "x", 0)
	if got := field(await[*http2.MetaHeadersFrame](p, "headers"), "grpc-timeout"); got == "" {
		t.Error("the peer is not told when the call ends")
	} else if d, err := parseTimeout(got); err != nil || d > patience || d < patience/2 {
		t.Errorf("the peer is told %q", got)
	}
}

// What a reply may be, and what the caller makes of it.
func TestReplies(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply func(p *peer)
		want  error
	}{
		{"OK", func(p *peer) { p.reply(1); p.ok(1) }, nil},
		{"trailers only, OK", func(p *peer) {
			p.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
		}, nil},
		{"trailers only", func(p *peer) {
			p.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "not there")
		}, status.Error(codes.NotFound, "not there")},
		{"a failure", func(p *peer) { p.reply(1); p.headers(1, true, "grpc-status", "9", "grpc-message", "no") }, status.Error(codes.FailedPrecondition, "no")},
		{"an encoded message", func(p *peer) { p.reply(1); p.headers(1, true, "grpc-status", "2", "grpc-message", "100%25 %C3%A4%0A+") }, status.Error(codes.Unknown, "100% ä\n+")},
		{"a badly encoded message", func(p *peer) { p.reply(1); p.headers(1, true, "grpc-status", "2", "grpc-message", "100% %zz") }, status.Error(codes.Unknown, "100% %zz")},
		{"a status of later times", func(p *peer) { p.reply(1); p.headers(1, true, "grpc-status", "77") }, status.Error(77, "")},
		{"no number for a status", func(p *peer) { p.reply(1); p.headers(1, true, "grpc-status", "fine") }, status.Error(codes.Internal, `the status "fine"`)},
		{"no status", func(p *peer) { p.reply(1); p.headers(1, true, "x", "y") }, status.Error(codes.Internal, "without a status")},
		{"no trailers", func(p *peer) { p.reply(1); p.must(p.WriteData(1, true, nil)) }, status.Error(codes.Internal, "without a status")},
		{"the end in the middle of a message", func(p *peer) { p.reply(1); p.must(p.WriteData(1, false, wire("text")[:7])); p.ok(1) }, status.Error(codes.Internal, "in the middle of a message")},
		{"a compressed message", func(p *peer) { p.reply(1); p.must(p.WriteData(1, false, []byte{1, 0, 0, 0, 1, 0})) }, status.Error(codes.Internal, "compressed")},
		{"a message that is too long", func(p *peer) { p.reply(1); p.must(p.WriteData(1, false, []byte{0, 128, 0, 0, 0, 0})) }, status.Error(codes.Internal, "too long")},
		{"HTTP 404", func(p *peer) { p.headers(1, true, ":status", "404", "content-type", "text/html") }, status.Error(codes.Unimplemented, `HTTP status "404"`)},
		{"HTTP 502 with a body", func(p *peer) {
			p.headers(1, false, ":status", "502", "content-type", "text/html")
			p.must(p.WriteData(1, true, []byte("bad gateway")))
		}, status.Error(codes.Unavailable, `HTTP status "502"`)},
		{"HTTP 200 of something else", func(p *peer) { p.headers(1, true, ":status", "200", "content-type", "text/html") }, status.Error(codes.Unknown, "text/html")},
		{"no HTTP status", func(p *peer) { p.headers(1, true, "grpc-status", "0") }, status.Error(codes.Unknown, "HTTP status")},
		{"an informational status first", func(p *peer) { p.headers(1, false, ":status", "103", "link", "x"); p.reply(1); p.ok(1) }, nil},
		{"headers that are too long together", func(p *peer) {
			p.reply(1)
			var fields []string
			for range testHeader/(defaultTable/2) + 1 { // short as sent, because it is the same again and again
				fields = append(fields, "x", strings.Repeat("x", defaultTable/2))
			}
			p.headers(1, true, fields...)
		}, status.Error(codes.Internal, "longer than")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFar(t, sockets)
			s, p := f.open()
			sendText(t, s, "hello", Last)
			tc.reply(p)
			wantEnd(t, s, tc.want)
			// The connection lives.
			next := opened(t, f.Client)
			sendText(t, next, "next", Last)
			p.awaitText(3, "next")
			p.reply(3)
			p.text(3, false, "reply")
			p.ok(3)
			wantText(t, next, "reply")
			wantEnd(t, next, nil)
		})
	}
}

// What comes before a bad end is received.
func TestMessagesBeforeTheEnd(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"trailers": func(p *peer) { p.headers(1, true, "grpc-status", "14") },
		"reset":    func(p *peer) { p.must(p.WriteRSTStream(1, http2.ErrCodeRefusedStream)) },
		"close":    func(p *peer) { p.closeWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newFar(t, sockets).open()
			sendText(t, s, "hello", 0)
			p.reply(1)
			p.text(1, false, "first")
			p.text(1, false, "second")
			end(p)
			wantText(t, s, "first")
			wantText(t, s, "second")
			wantEnd(t, s, status.Error(codes.Unavailable, ""))
		})
	}
}

func TestReset(t *testing.T) {
	for code, want := range map[http2.ErrCode]codes.Code{
		http2.ErrCodeNo: codes.Internal, http2.ErrCodeProtocol: codes.Internal, http2.ErrCodeInternal: codes.Internal,
		http2.ErrCodeFlowControl: codes.Internal, http2.ErrCodeStreamClosed: codes.Internal, http2.ErrCodeFrameSize: codes.Internal,
		http2.ErrCodeRefusedStream: codes.Unavailable, http2.ErrCodeCancel: codes.Canceled, http2.ErrCodeConnect: codes.Internal,
		http2.ErrCodeEnhanceYourCalm: codes.ResourceExhausted, http2.ErrCodeInadequateSecurity: codes.PermissionDenied, 99: codes.Internal,
	} {
		t.Run(code.String(), func(t *testing.T) {
			s, p := newFar(t, sockets).open()
			sendText(t, s, "hello", 0)
			p.awaitText(1, "hello")
			p.must(p.WriteRSTStream(1, code))
			_, err := s.Recv()
			if status.Code(err) != want {
				t.Errorf("%v, want %v", err, want)
			}
			if _, ok := errors.AsType[*NotProcessedError](err); ok != (code == http2.ErrCodeRefusedStream) {
				t.Errorf("%T", err)
			}
			if err := s.Send(pieces([]byte("more")), 0); !errors.Is(err, io.EOF) {
				t.Errorf("sending: %v", err)
			}
		})
	}
}

// A peer that leaves ends the streams it has taken and no others, and calls go on
// with another connection.
func TestGoAway(t *testing.T) {
	f := newFar(t, sockets)
	first, p := f.open()
	second := opened(t, f.Client)
	sendText(t, first, "first", 0)
	sendText(t, second, "second", 0)
	p.awaitText(3, "second")
	p.must(p.WriteGoAway(1, http2.ErrCodeNo, []byte("bye")))
	_, err := second.Recv()
	if _, ok := errors.AsType[*NotProcessedError](err); !ok || !strings.Contains(err.Error(), "bye") {
		t.Errorf("%v", err)
	}
	third, p3 := f.open()
	sendText(t, third, "third", Last)
	p3.awaitText(1, "third")
	p3.reply(1)
	p3.ok(1)
	wantEnd(t, third, nil)
	p.reply(1)
	p.text(1, false, "still here")
	wantText(t, first, "still here")
	p.ok(1)
	wantEnd(t, first, nil)
	p.awaitEnd() // the client does not keep what it cannot use
}

// A peer that leaves while nobody calls is left.
func TestGoAwayWhenIdle(t *testing.T) {
	f := newFar(t, sockets)
	s, p := f.open()
	s.Close(errTest)
	p.settled()
	p.must(p.WriteGoAway(maxStreamID, http2.ErrCodeNo, nil))
	p.awaitEnd()
	_, p = f.open()
	p.settled()
}

func TestMaxConcurrentStreams(t *testing.T) {
	f := newFar(t, sockets)
	limit := http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2}
	first, p := f.open(limit)
	sendText(t, opened(t, f.Client), "second", 0)
	third, p2 := f.open(limit)
	sendText(t, third, "third", 0)
	p2.awaitText(1, "third")
	first.Close(errTest)
	fourth := opened(t, f.Client) // there is room again
	sendText(t, fourth, "fourth", 0)
	p.awaitText(5, "fourth")
}

// Many callers at once get as many connections as they need.
func TestMaxConcurrentStreamsOfMany(t *testing.T) {
	const n = 8
	f := newFar(t, sockets)
	got := make(chan error, n)
	for range n {
		go func() {
			s, err := f.Open(within(t))
			if err == nil {
				t.Cleanup(func() { s.Close(errTest) })
			}
			got <- err
		}()
	}
	for range n {
		p := f.accept()
		p.must(p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}))
	}
	for range n {
		if err := soon(t, got, "stream"); err != nil {
			t.Error(err)
		}
	}
}

func TestNoConcurrentStreams(t *testing.T) {
	f := newFar(t, sockets)
	got := make(chan error, 1)
	go func() {
		_, err := f.Open(within(t))
		got <- err
	}()
	p := f.accept()
	p.must(p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams}))
	if err := soon(t, got, "error"); err == nil || !strings.Contains(err.Error(), "takes no streams") {
		t.Error(err)
	}
	p.awaitEnd()
}

// Peers that do not speak HTTP/2, or do not go on with it.
func TestStrangePeers(t *testing.T) {
	for _, tc := range []struct {
		name string
		says string
		want string
	}{
		{"HTTP/1", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "is that HTTP/2?"},
		{"a greeting without settings", "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "is that HTTP/2?"},
		{"a shutdown", "", "closed"},
		{"half a frame", "\x00\x00", "closed"},
		{"settings that are cut off", "\x00\x00\x05\x04\x00\x00\x00\x00\x0012345", "cut off"},
		{"a frame that is too long", "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "a frame of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFar(t, sockets)
			got := make(chan error, 1)
			go func() {
				_, err := f.Open(within(t))
				got <- err
			}()
			p := f.accept()
			_, err := io.WriteString(p.nc, tc.says)
			p.must(err)
			p.closeWrite()
			if err := soon(t, got, "error"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// Peers that break the rules later: the connection ends, with a word to the peer
// and to the caller.
func TestBrokenRules(t *testing.T) {
	for _, tc := range []struct {
		name string
		code http2.ErrCode
		do   func(p *peer)
	}{
		{"a push", http2.ErrCodeProtocol, func(p *peer) {
			p.must(p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}))
		}},
		{"a continuation of nothing", http2.ErrCodeProtocol, func(p *peer) { p.must(p.WriteContinuation(1, true, nil)) }},
		{"data in a header block", http2.ErrCodeProtocol, func(p *peer) {
			p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1}))
			p.must(p.WriteData(1, false, nil))
		}},
		{"another stream in a header block", http2.ErrCodeProtocol, func(p *peer) {
			p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1}))
			p.must(p.WriteContinuation(3, true, nil))
		}},
		{"headers of no stream", http2.ErrCodeProtocol, func(p *peer) { p.headers(0, false, ":status", "200") }},
		{"data of no stream", http2.ErrCodeProtocol, func(p *peer) { p.must(p.WriteData(0, false, nil)) }},
		{"no HPACK", http2.ErrCodeCompression, func(p *peer) {
			p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true}))
		}},
		{"headers without an end", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			b := make([]byte, 250<<10)
			p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b}))
			for range testHeader / len(b) {
				p.must(p.WriteContinuation(1, false, b))
			}
		}},
		{"a window that grows by nothing", http2.ErrCodeProtocol, func(p *peer) { p.must(p.WriteWindowUpdate(1, 0)) }},
		{"a window that is too wide", http2.ErrCodeFlowControl, func(p *peer) { p.must(p.WriteWindowUpdate(0, maxStreamID)) }},
		{"a stream's window that is too wide", http2.ErrCodeFlowControl, func(p *peer) { p.must(p.WriteWindowUpdate(1, maxStreamID)) }},
		{"a stream's window that settings make too wide", http2.ErrCodeFlowControl, func(p *peer) {
			p.must(p.WriteWindowUpdate(1, maxStreamID-defaultWindow))
			p.must(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxStreamID}))
		}},
		{"a wrong initial window", http2.ErrCodeFlowControl, func(p *peer) {
			p.must(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}))
		}},
		{"a wrong frame size", http2.ErrCodeProtocol, func(p *peer) {
			p.must(p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}))
		}},
		{"a short ping", http2.ErrCodeFrameSize, func(p *peer) { p.must(p.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7))) }},
		{"a short GOAWAY", http2.ErrCodeFrameSize, func(p *peer) { p.must(p.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7))) }},
		{"padding without a length", http2.ErrCodeFrameSize, func(p *peer) { p.must(p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, nil)) }},
		{"padding of data that is too long", http2.ErrCodeProtocol, func(p *peer) { p.must(p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{2, 0})) }},
		{"padding of headers that is too long", http2.ErrCodeProtocol, func(p *peer) {
			p.must(p.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte{2, 0}))
		}},
		{"a priority that is cut off", http2.ErrCodeFrameSize, func(p *peer) {
			p.must(p.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 1, []byte{0, 0}))
		}},
		{"a frame that is too long", http2.ErrCodeFrameSize, func(p *peer) {
			_, err := p.nc.Write(appendHead(nil, maxFrame+1, http2.FrameData, 0, 1))
			p.must(err)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, p := newFar(t, sockets).open()
			sendText(t, s, "hello", 0)
			p.awaitText(1, "hello")
			tc.do(p)
			if g := p.awaitEnd(); g == nil || g.ErrCode != tc.code {
				t.Errorf("%v, want %v", g, tc.code)
			}
			wantEnd(t, s, status.Error(codes.Unavailable, "broke off"))
		})
	}
}

// More than a stream's window lets through ends the stream, and nothing else.
func TestWindowIsKept(t *testing.T) {
	f := newFar(t, sockets)
	s, p := f.open()
	sendText(t, s, "hello", 0)
	p.reply(1)
	p.must(p.WriteData(1, false, []byte{0, 1, 0, 0, 0})) // of a long message
	for range streamWindow/maxFrame + 1 {
		p.must(p.WriteData(1, false, make([]byte, maxFrame)))
	}
	p.awaitReset(1, http2.ErrCodeFlowControl)
	wantEnd(t, s, errTooMuch)
	s = opened(t, f.Client)
	sendText(t, s, "hello", Last)
	p.awaitText(3, "hello")
	p.reply(3)
	p.ok(3)
	wantEnd(t, s, nil)
}
