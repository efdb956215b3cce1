package h2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Whatever the size of the peer's table and the order in which blocks are sent, the
// peer decodes what is meant.
func TestBlocks(t *testing.T) {
	for _, sets := range [][][]hpack.HeaderField{
		{
			{{Name: ":method", Value: "POST"}, {Name: ":path", Value: strings.Repeat("/long", 40)}, {Name: "te", Value: "trailers"}},
			{{Name: "grpc-status", Value: "0"}},
			{{Name: ":status", Value: "200"}, {Name: "content-type", Value: contentType}},
		},
		{{{Name: "x", Value: strings.Repeat("x", 27)}}, {{Name: "y", Value: "y"}, {Name: "z", Value: "z"}}, {{Name: "x", Value: strings.Repeat("x", 27)}}},
	} {
		checkBlocks(t, sets)
	}
}

func checkBlocks(t *testing.T, sets [][]hpack.HeaderField) {
	t.Helper()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {0, 0, 2, 2, 1, 0}, {1, 2, 0}} {
		for table := uint32(0); table < 600; table += 5 {
			b := newBlocks(table, sets...)
			var got []hpack.HeaderField
			peer := hpack.NewDecoder(defaultTable, func(f hpack.HeaderField) { got = append(got, f) })
			peer.SetMaxDynamicTableSize(table)
			peer.SetAllowedMaxDynamicTableSize(table)
			for round := range 3 {
				for _, i := range order {
					got = got[:0]
					if _, err := peer.Write(b.next(i)); err != nil {
						t.Fatalf("table of %d, order %v, round %d: %v", table, order, round, err)
					}
					if err := peer.Close(); err != nil || !slices.Equal(got, sets[i]) {
						t.Fatalf("table of %d, order %v, round %d: %v, %v", table, order, round, got, err)
					}
				}
			}
		}
	}
}

// What is said again and again is short.
func TestBlocksAreShort(t *testing.T) {
	b := newBlocks(defaultTable, []hpack.HeaderField{{Name: ":path", Value: testMethod}, {Name: "te", Value: "trailers"}})
	b.next(0)
	if again := b.next(0); len(again) != 2 {
		t.Errorf("%d bytes", len(again))
	}
}

func TestLiterals(t *testing.T) {
	for _, n := range []int{0, 1, 126, 127, 128, 254, 255, 256, 16_000, 1 << 21} {
		value := strings.Repeat("v", n)
		var got []hpack.HeaderField
		d := hpack.NewDecoder(0, func(f hpack.HeaderField) { got = append(got, f) })
		if _, err := d.Write(appendField(nil, "name", value)); err != nil || d.Close() != nil || len(got) != 1 || got[0].Name != "name" || got[0].Value != value {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A block of any length goes in frames that any peer takes.
func TestAppendHeaders(t *testing.T) {
	for _, n := range []int{0, 1, defaultFrame - 1, defaultFrame, defaultFrame + 1, 3*defaultFrame + 1} {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprint(n, last), func(t *testing.T) {
				block := appendField(nil, "x", strings.Repeat("x", max(n-10, 0)))
				p := newPeer(t, taping{bytes.NewBuffer(appendHeaders(nil, 5, block, last))})
				p.SetMaxReadFrameSize(defaultFrame)
				h := await[*http2.MetaHeadersFrame](p, "headers")
				if len(field(h, "x")) != max(n-10, 0) || h.StreamID != 5 || h.StreamEnded() != last {
					t.Errorf("%v", h)
				}
			})
		}
	}
}
