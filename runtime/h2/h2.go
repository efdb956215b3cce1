// Package h2 carries calls between sidecars: every call is a stream of gRPC's
// messages on an HTTP/2 connection (RFC 9113, and gRPC's PROTOCOL-HTTP2). It does
// what one method with a stream each way needs and nothing else.
//
// A Client speaks to any gRPC server. A Server takes only connections of such
// clients, which say who they are in their first frame, and gives all others back
// untouched, so that gRPC's own server can have them.
//
// grpc-go can do all this and more. It wakes a goroutine for each step of a call:
// here whoever has something to send writes it, so that a small call wakes one
// goroutine at each end, and what is received is passed on in the memory it was read into.
package h2

import (
	"math"
	"time"

	"golang.org/x/net/http2"
)

const (
	// streamWindow is how much a stream may have under way towards a reader that
	// does not read: enough for full speed on one host, little enough that
	// back-pressure is felt soon.
	streamWindow = 384 << 10
	connWindow   = 4 << 20

	// wideWindow is what a stream gets beside that once the kernel moves what it
	// brings: larger pieces wake fewer goroutines, and none of it lies in our memory.
	wideWindow = 1 << 20

	// maxFrame is the longest frame that is taken, and sent to whoever takes it.
	maxFrame = 512 << 10

	// maxMessage is gRPC's own limit: a message's length has 32 bits.
	maxMessage = math.MaxInt32

	// What HTTP/2 begins with, until settings say otherwise.
	defaultWindow = 65535
	defaultFrame  = 16 << 10
	defaultTable  = 4096

	maxStreamID = 1<<31 - 1

	// settingOurs says in the first frame that it is one of us: that a Server may
	// serve the connection, and that what is large may be moved by the kernel, since
	// no message ends in the middle of a frame. The range is the one for experiments.
	settingOurs http2.SettingID = 0xf4d5

	pingEvery   = 10 * time.Second // of quiet; a daprd tolerates one every 8 s
	pingTimeout = 5 * time.Second
	dialTimeout = 5 * time.Second
	idleTimeout = 3 * time.Minute
)
