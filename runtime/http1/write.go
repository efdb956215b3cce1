package http1

import (
	"io"
	"net"
	"net/http"
	"strconv"

	"mesh/runtime/socket"
)

// Write implements http.ResponseWriter. What does not fit the buffer is sent
// together with what is in it.
func (r *Response) Write(p []byte) (int, error) {
	if r.mode == undecided {
		if r.first(p) {
			return len(p), nil
		}
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case r.mode == noBody:
		if r.req.Method == http.MethodHead {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	case r.mode == fixed && int64(len(p)) > r.left:
		return 0, http.ErrContentLength
	case len(p) == 0:
		return 0, nil
	}
	r.left -= int64(len(p))
	if r.mem == nil && r.mode != chunked && len(p) > bufferSize/2 {
		_, r.err = r.c.nc.Write(p)
		return len(p), r.err
	}
	r.hold()
	if r.mode == chunked {
		r.buf = strconv.AppendInt(r.buf, int64(len(p)), 16)
		r.buf = append(r.buf, "\r\n"...)
	}
	if len(r.buf)+len(p)+2 <= cap(r.buf) {
		r.buf = append(r.buf, p...)
		if r.mode == chunked {
			r.buf = append(r.buf, "\r\n"...)
		}
		return len(p), nil
	}
	pieces := make(net.Buffers, 2, 3)
	pieces[0], pieces[1] = r.buf, p
	if r.mode == chunked {
		pieces = append(pieces, []byte("\r\n"))
	}
	_, r.err = pieces.WriteTo(r.c.nc.Conn)
	r.release()
	return len(p), r.err
}

// first takes what is written before the head has been made. It waits for the
// end, or for more than a little, so that the length may become known.
func (r *Response) first(p []byte) (done bool) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	length := r.announced()
	if length >= 0 {
		r.guess(p)
		r.begin(r.header, length)
		return false
	}
	if len(r.buf)+len(p) <= bufferSize/2 {
		r.hold()
		r.buf = append(r.buf, p...)
		return true
	}
	if len(r.buf) > 0 {
		r.guess(r.buf)
	} else {
		r.guess(p)
	}
	r.begin(r.header, -1)
	return false
}

// announced gives the length that the handler has set; -1: none.
func (r *Response) announced() int64 {
	if v := r.header["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// guess gives a body a type when its handler has not.
func (r *Response) guess(p []byte) {
	if _, ok := r.Header()["Content-Type"]; !ok && len(p) > 0 {
		r.header.Set("Content-Type", http.DetectContentType(p))
	}
}

// ReadFrom writes what r gives. From a TCP connection the kernel moves it
// alone, as far as the length of the reply is known.
func (r *Response) ReadFrom(from io.Reader) (int64, error) {
	part, ok := from.(*io.LimitedReader)
	to, direct := r.c.nc.Conn.(io.ReaderFrom)
	if !ok || !direct || r.mode != fixed || part.N > r.left {
		return io.Copy(struct{ io.Writer }{r}, from)
	}
	if err := r.FlushError(); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(part)
	r.left -= n
	r.err = err
	return n, err
}

// Move writes front, and then what the kernel has, which it moves as far as the
// length of the reply is known.
func (r *Response) Move(front []byte, m socket.Movable) (int, error) {
	if err := r.FlushError(); err != nil {
		return 0, err
	}
	if r.mode != fixed || int64(len(front)+m.Len()) > r.left {
		return socket.Copy(r, front, m)
	}
	n, err := r.c.nc.Move(front, m)
	r.left -= int64(n)
	r.err = err
	return n, err
}

// FlushError sends what was written. It is for http.ResponseController, too.
func (r *Response) FlushError() error {
	if r.mode == undecided {
		if r.status == 0 {
			r.status = http.StatusOK
		}
		r.guess(r.buf)
		r.begin(r.header, r.announced())
	}
	if len(r.buf) > 0 && r.err == nil {
		_, r.err = r.c.nc.Write(r.buf)
	}
	r.release()
	return r.err
}

func (r *Response) hold() {
	if r.mem == nil {
		r.mem = r.c.s.buffer()
		r.buf = (*r.mem)[:0]
	}
}

func (r *Response) release() {
	if r.mem != nil {
		r.c.s.buffers.Put(r.mem)
	}
	r.mem, r.buf = nil, nil
}
