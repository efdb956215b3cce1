package pane

import (
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

// A rate is drawn from the bytes of the last rateSlots slots of time.
const (
	rateSlots = 16 // a power of two
	rateSlot  = 500 * time.Millisecond
)

// rates keeps for each live flow how many bytes passed lately. It is made from
// successive snapshots, so it is as exact as they are frequent.
type rates struct {
	of   map[string]*rate
	last time.Time
	turn uint64
}

type rate struct {
	bytes uint64 // at the last snapshot
	slots [rateSlots]float64
	slot  int64  // the newest one
	turn  uint64 // of the last snapshot that had it
}

// update takes in a snapshot.
func (r *rates) update(now time.Time, flows []flow.View) {
	if r.of == nil {
		r.of = map[string]*rate{}
	}
	last := r.last
	fresh := now.Sub(last) > 4*rateSlot // too long ago to say when bytes passed
	if fresh {
		last = now
	}
	r.last = now
	r.turn++
	slot := now.UnixNano() / int64(rateSlot)
	for i := range flows {
		v := &flows[i]
		one := r.of[v.ID]
		if one == nil {
			if !v.Live {
				continue
			}
			one = &rate{slot: slot}
			if v.Age < 2*rateSlot { // all of it is new
				one.bytes = 0
			} else {
				one.bytes = total(v)
			}
			r.of[v.ID] = one
		} else if fresh {
			one.bytes = total(v)
		}
		one.advance(slot)
		bytes := total(v)
		one.spread(last, now, float64(bytes-min(bytes, one.bytes)))
		one.bytes, one.turn = bytes, r.turn
	}
	for id, one := range r.of {
		if one.turn != r.turn {
			delete(r.of, id)
		}
	}
}

// spread adds bytes that passed some time between two snapshots, evenly.
func (r *rate) spread(last, now time.Time, bytes float64) {
	from, to := last.UnixNano(), now.UnixNano()
	if bytes == 0 || from >= to {
		r.slots[r.slot&(rateSlots-1)] += bytes
		return
	}
	for s := max(from/int64(rateSlot), r.slot-rateSlots+1); s <= r.slot; s++ {
		begin, end := max(from, s*int64(rateSlot)), min(to, (s+1)*int64(rateSlot))
		r.slots[s&(rateSlots-1)] += bytes * float64(end-begin) / float64(to-from)
	}
}

// advance clears the slots between the newest one and slot.
func (r *rate) advance(slot int64) {
	for n := 0; r.slot < slot && n < rateSlots; n++ {
		r.slot++
		r.slots[r.slot&(rateSlots-1)] = 0
	}
	r.slot = slot
}

// at gives the bytes of slot i of n, the last one being the newest that is
// over.
func (r *rate) at(now time.Time, i, n int) float64 {
	s := now.UnixNano()/int64(rateSlot) - int64(n-i)
	if s <= r.slot-rateSlots || s > r.slot {
		return 0
	}
	return r.slots[s&(rateSlots-1)]
}

// sum gives the bytes of a flow in the slots that are kept.
func (r *rates) sum(id string, now time.Time) (bytes float64) {
	one := r.of[id]
	if one == nil {
		return 0
	}
	for i := range rateSlots {
		bytes += one.at(now, i, rateSlots)
	}
	return bytes
}

func total(v *flow.View) uint64 {
	return filter.Bytes(v, flow.Request) + filter.Bytes(v, flow.Reply)
}
