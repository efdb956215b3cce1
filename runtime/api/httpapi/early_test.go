package httpapi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEarlyReplyEndsTheRequest(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "too large")
	}), nil)
	c := dial(t, s)
	c.send(invokeX + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 413 ") {
		t.Errorf("the head is %q", h)
	}
	c.expect("too large")
	// What follows belongs to a body that nobody wants, never to a request.
	c.send("0\r\n\r\nGET /v1.0/metadata HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		t.Errorf("after the reply comes %q, %v", b, err)
	}
}

// TestEarlyReplyEndsALargeRequest: an app that answers, takes no more of the body
// and goes on holding the connection keeps nobody, not even while the kernel moves
// the body.
func TestEarlyReplyEndsALargeRequest(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	full, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		select {
		case <-full:
		case <-over:
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")
		<-over
	}()
	defer func() { close(over); ln.Close(); <-ended }()
	s := startAt(t, ln.Addr().String(), nil)
	c := dial(t, s)
	c.send(invokeX+"Content-Length: %d\r\n\r\n", int64(1)<<40)
	for piece := make([]byte, 1<<20); err == nil; { // until nobody takes more
		_ = c.SetWriteDeadline(time.Now().Add(wait / 100))
		_, err = c.Write(piece)
	}
	close(full)
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 413 ") {
		t.Errorf("the head is %q", h)
	}
	c.expect("too large")
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the reply: %v", err)
	}
}
