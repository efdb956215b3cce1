package proc

import (
	"fmt"
	"os"
	"time"
)

// stdio is what a child's descriptors 0, 1 and 2 are connected to.
type stdio struct {
	child    [3]*os.File // the child's side
	readers  []*reader
	terminal *os.File // our side of the terminal, nil without one
	ended    chan struct{}
}

// openStdio gives the child an empty input and two pipes, or a terminal.
func openStdio(spec *Spec) (*stdio, error) {
	s := &stdio{ended: make(chan struct{})}
	if spec.PTY {
		ours, theirs, err := openTerminal(spec.Cols, spec.Rows)
		if err != nil {
			return nil, fmt.Errorf("opening a terminal: %w", err)
		}
		s.child = [3]*os.File{theirs, theirs, theirs}
		s.terminal = ours
		s.readers = []*reader{{f: ours, name: "stdout", prompt: true, crlf: true, raw: spec.Screen, ended: s.ended}}
		return s, nil
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("opening its input: %w", err)
	}
	s.child[0] = null
	for i, name := range []string{"stdout", "stderr"} {
		r, w, err := os.Pipe()
		if err != nil {
			s.closeChild()
			s.closeOurs()
			return nil, fmt.Errorf("opening a pipe: %w", err)
		}
		s.child[i+1] = w
		s.readers = append(s.readers, &reader{f: r, name: name, ended: s.ended})
	}
	return s, nil
}

// closeChild closes the child's side, which the child has its own copy of.
func (s *stdio) closeChild() {
	for _, f := range s.child {
		if f != nil {
			f.Close() // of a terminal three times the same: harmless
		}
	}
}

func (s *stdio) closeOurs() {
	for _, r := range s.readers {
		r.f.Close()
	}
}

// drain tells the readers that the tree has ended: they read what is there and
// no longer wait for a stream to be closed by somebody else.
func (s *stdio) drain() {
	close(s.ended)
	for _, r := range s.readers {
		_ = r.f.SetReadDeadline(time.Now()) // wakes it
	}
}
