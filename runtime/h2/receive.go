package h2

import (
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// Recv gives the next message, which is the caller's to free, or why there is
// none: io.EOF when the peer has sent all, else a status or what Abort was told.
func (s *Stream) Recv() (mem.BufferSlice, error) {
	for {
		s.mu.Lock()
		m, err := s.next()
		tell := 0
		if s.unsaid >= streamWindow/2 && s.why == nil {
			tell, s.left, s.unsaid = s.unsaid, s.left+s.unsaid, 0
		}
		s.mu.Unlock()
		if tell > 0 {
			s.c.send(func(b []byte) []byte { return appendWindow(b, s.id, tell) })
		}
		if m != nil || err != nil { // an empty message is not nil
			return m, err
		}
		<-s.came
	}
}

// next takes a message off what has come; nil: it is not whole yet.
func (s *Stream) next() (mem.BufferSlice, error) {
	if s.gone {
		return nil, s.why
	}
	whole := prefixLen
	if s.size >= prefixLen {
		var prefix [prefixLen]byte
		peek(s.in, prefix[:])
		n := binary.BigEndian.Uint32(prefix[1:])
		if prefix[0] != 0 || n > maxMessage {
			return nil, status.Errorf(codes.Internal, "a message that is compressed or too long (%d, %d bytes)", prefix[0], n)
		}
		whole += int(n)
		if s.size >= whole {
			s.read(whole)
			s.early = 0
			return s.take(whole), nil
		}
	}
	switch {
	case s.why == nil:
		// What is longer than the window must not wait for its own end.
		s.read(min(s.size, whole))
		return nil, nil
	case s.size > 0 && errors.Is(s.why, io.EOF):
		return nil, status.Error(codes.Internal, "the stream ended in the middle of a message")
	}
	return nil, s.why
}

// read counts the first n bytes as read.
func (s *Stream) read(n int) {
	s.unsaid += n - s.early
	s.early = n
}

// peek copies the first bytes of bufs.
func peek(bufs mem.BufferSlice, to []byte) {
	for i := 0; len(to) > 0; i++ {
		to = to[copy(to, bufs[i].ReadOnlyData()):]
	}
}

// take gives what follows the prefix of the message that is the first n bytes.
func (s *Stream) take(n int) mem.BufferSlice {
	m := make(mem.BufferSlice, 0, 2)
	skip := prefixLen
	s.size -= n
	used := 0
	for n > 0 {
		b := s.in[used]
		size := b.Len()
		from, to := min(skip, size), min(n, size)
		skip -= from
		n -= to
		if to > from {
			m = append(m, b.Slice(from, to))
		}
		if to < size {
			s.in[used] = b.Slice(to, size)
		} else {
			used++
		}
		b.Free()
	}
	rest := copy(s.in, s.in[used:])
	clear(s.in[rest:])
	s.in = s.in[:rest]
	return m
}

// takes counts what the peer sends, and what of it is padding; false: it may not.
func (s *Stream) takes(n, padding int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left -= n
	s.unsaid += padding
	return s.left >= 0
}

// push takes in data, and the buffer with it.
func (s *Stream) push(b mem.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		b.Free()
		return
	}
	s.in = append(s.in, b)
	s.size += b.Len()
}

// stop ends the receiving. What has come before can be read.
func (s *Stream) stop(why error) {
	s.mu.Lock()
	if s.why == nil {
		s.why = why
	}
	s.mu.Unlock()
	s.tellCame()
}

// drop ends the receiving and forgets what has come.
func (s *Stream) drop(why error) {
	s.mu.Lock()
	s.gone, s.why = true, why
	s.in.Free()
	clear(s.in)
	s.in, s.size = s.in[:0], 0
	s.mu.Unlock()
	s.tellCame()
}
