package proc

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// longest is the size of the pieces in which a longer line is passed on.
	longest = 64 << 10
	// tailLines and tailWidth bound what an Exit keeps of the output.
	tailLines, tailWidth = 10, 1 << 10
	// promptAfter is how long a terminal's unfinished line waits for its end
	// before it is shown: it may be a question.
	promptAfter = 150 * time.Millisecond
	// drainQuiet bounds the wait for output after the tree has ended. What it
	// wrote is in the pipe by then, so this is only for reading it out.
	drainQuiet = 100 * time.Millisecond
	// drainBytes is what is read at most after the tree has ended, when the
	// pipe is held open by a process that cannot be ended. It is the largest
	// size that a pipe has unless root says otherwise.
	drainBytes = 1 << 20
)

// reader turns one stream of output into lines.
type reader struct {
	f      *os.File
	name   string       // stdout or stderr
	prompt bool         // show an unfinished line when nothing follows
	crlf   bool         // lines end with \r\n, as a terminal makes them
	raw    func([]byte) // told every read as it is; nil: nobody is

	ended chan struct{} // closed when the tree has ended
}

// read calls out for every line until the stream ends, or is quiet after the
// tree has ended.
func read(r *reader, out func(Line)) {
	buf := make([]byte, 0, longest+4096)
	rest := drainBytes
	for {
		over := r.deadline(len(buf) > 0)
		n, err := r.f.Read(buf[len(buf):cap(buf)])
		now := time.Now()
		if n > 0 && r.raw != nil {
			r.raw(buf[len(buf) : len(buf)+n])
		}
		buf = buf[:len(buf)+n]
		buf = buf[:copy(buf, r.split(buf, now, out))]
		if over {
			rest -= n
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && !over:
			// Either a question stands there, or the tree has just ended.
			if r.prompt && len(buf) > 0 {
				out(Line{At: now, Stream: r.name, Text: string(buf), Partial: true})
				buf = buf[:0]
			}
		case err != nil || rest <= 0: // the end, or a terminal whose other side is closed
			if len(buf) > 0 {
				out(Line{At: now, Stream: r.name, Text: string(buf)})
			}
			return
		}
	}
}

// deadline sets until when the next read may block and reports whether the
// tree has ended.
func (r *reader) deadline(unfinished bool) bool {
	select {
	case <-r.ended:
		_ = r.f.SetReadDeadline(time.Now().Add(drainQuiet))
		return true
	default:
	}
	if !r.prompt {
		return false
	}
	var until time.Time
	if unfinished {
		until = time.Now().Add(promptAfter)
	}
	_ = r.f.SetReadDeadline(until)
	select {
	case <-r.ended: // and we have just undone what was to wake us
		return r.deadline(unfinished)
	default:
		return false
	}
}

// split passes on the complete lines of data, and the beginning of one that is
// too long, and gives what remains.
func (r *reader) split(data []byte, now time.Time, out func(Line)) []byte {
	for {
		end := bytes.IndexByte(data, '\n')
		if end >= 0 && end <= longest {
			text := data[:end]
			if r.crlf {
				text = bytes.TrimSuffix(text, []byte("\r"))
			}
			out(Line{At: now, Stream: r.name, Text: string(text)})
			data = data[end+1:]
			continue
		}
		if len(data) <= longest {
			return data
		}
		cut := wholeRunes(data[:longest])
		out(Line{At: now, Stream: r.name, Text: string(data[:cut]), Partial: true})
		data = data[cut:]
	}
}

// wholeRunes gives a length at which to cut without breaking a UTF-8 character.
func wholeRunes(piece []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(piece); back++ {
		at := len(piece) - back
		if utf8.RuneStart(piece[at]) {
			if !utf8.FullRune(piece[at:]) {
				return at
			}
			break
		}
	}
	return len(piece)
}

// tail keeps the last lines of both streams.
type tail struct {
	mu     sync.Mutex
	kept   []string
	within map[string]bool // streams that are in the middle of a long line
}

func (t *tail) add(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	goesOn := t.within[l.Stream]
	if t.within == nil {
		t.within = map[string]bool{}
	}
	t.within[l.Stream] = l.Partial
	if goesOn {
		return // its beginning is kept
	}
	if len(t.kept) == tailLines {
		t.kept = append(t.kept[:0], t.kept[1:]...)
	}
	text := l.Text
	if len(text) > tailWidth {
		text = strings.Clone(text[:tailWidth]) // so that the rest does not stay in memory
	}
	t.kept = append(t.kept, text)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept
}
