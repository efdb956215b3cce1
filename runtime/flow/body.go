package flow

import (
	"net/http"
	"slices"
)

// Body is what was captured of one direction of a flow.
type Body struct {
	On     bool        `json:"on"`               // the flow's bytes are being captured
	Limit  int         `json:"limit,omitempty"`  // bytes that are kept at most; 0: capture was never on
	Header http.Header `json:"header,omitempty"` // secrets replaced by Redacted; nil: not captured
	Query  string      `json:"query,omitempty"`  // of the request, raw, secrets replaced
	Begin  uint64      `json:"begin"`            // bytes that had passed before capture was on
	End    uint64      `json:"end"`              // bytes that had passed when the last one was captured or missed
	Missed uint64      `json:"missed,omitempty"` // bytes from Begin to End that are not kept
	Shed   bool        `json:"shed,omitempty"`   // they were given up for newer flows
	Parts  []Part      `json:"parts,omitempty"`  // what is kept, in order, with gaps between
}

// Part is a run of captured bytes.
type Part struct {
	Off  uint64 `json:"off"` // bytes of the direction before it
	Data []byte `json:"data"`
}

// Whole says whether the body's n bytes were all kept, and gives them.
func (b *Body) Whole(n uint64) (data []byte, ok bool) {
	if n == 0 {
		return nil, true
	}
	for _, p := range b.Parts {
		if p.Off != uint64(len(data)) {
			return nil, false
		}
		data = append(data, p.Data...)
	}
	return data, uint64(len(data)) == n
}

// Body gives what was captured of one direction of a flow, of the bytes from one
// offset to another; ok is false when the flow is not remembered.
func (r *Recorder) Body(id string, d Dir, from, to uint64) (b Body, ok bool) {
	f := r.find(id)
	if f == nil {
		return Body{}, false
	}
	return f.Body(d, from, to), true
}

// Body gives what was captured of one direction, of the bytes from one offset
// to another.
func (f *Flow) Body(d Dir, from, to uint64) (b Body) {
	if f == nil {
		return b
	}
	c := f.capture.Load()
	if c == nil {
		return b
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.side[d&1]
	b = Body{
		On: !c.off && f.Live(), Limit: c.limit, Header: c.heads[d&1].Clone(), Begin: s.begin, Shed: c.shed,
		End: s.begin + uint64(len(s.front)) + s.after, Missed: s.after,
	}
	if d == Request {
		b.Query = c.query
	}
	add := func(off uint64, data []byte) {
		if off+uint64(len(data)) <= from || off >= to {
			return
		}
		if off < from {
			data = data[from-off:]
			off = from
		}
		data = slices.Clone(data[:min(uint64(len(data)), to-off)])
		if k := len(b.Parts) - 1; k >= 0 && b.Parts[k].Off+uint64(len(b.Parts[k].Data)) == off {
			b.Parts[k].Data = append(b.Parts[k].Data, data...)
			return
		}
		b.Parts = append(b.Parts, Part{Off: off, Data: data})
	}
	add(s.begin, s.front)
	base := s.begin + uint64(len(s.front)) // the offset of byte 0 of the ring's first turn
	have, size := s.after-s.missed, uint64(len(s.tail))
	kept := min(have, size)
	b.Missed -= kept
	if kept > 0 {
		at := (have - kept) % size
		add(base+have-kept, s.tail[at:min(size, at+kept)])
		add(base+have-kept+min(size-at, kept), s.tail[:kept-min(size-at, kept)])
	}
	return b
}
