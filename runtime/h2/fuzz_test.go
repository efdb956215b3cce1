package h2

import (
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// cut cuts bytes where each of places is the length of a part, over and over.
func cut(b, places []byte) (parts [][]byte) {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(places) > 0 && i < 256 {
			n = min(n, 1+int(places[i%len(places)]))
		}
		parts, b = append(parts, b[:n]), b[n:]
	}
	return parts
}

// seeds are tapes, how they are cut, and what is wrong in them.
func seeds(f *testing.F, whole []byte, skip int) {
	f.Helper()
	for _, places := range [][]byte{nil, {0}, {9, 3}, {100, 0, 17}} {
		f.Add(whole, places)
		f.Add(whole[:len(whole)/2], places)
	}
	f.Add(append(whole[:skip:skip], whole[skip+1:]...), []byte{50})
	f.Add([]byte(nil), []byte(nil))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte{3})
}

// FuzzClient is what a server may send: nothing hangs or is lost, and it does not
// matter in which pieces it comes.
func FuzzClient(f *testing.F) {
	seeds(f, replyTape(f), 200)
	f.Fuzz(func(t *testing.T, b, places []byte) {
		wantPlayed(t, toClient(t, cut(b, places)), toClient(t, [][]byte{b}), "cut")
	})
}

// FuzzServer is the same for what a client may send after its preface.
func FuzzServer(f *testing.F) {
	greeting := tape(f, greetingTape)
	seeds(f, requestTape(f)[len(greeting):], 200)
	f.Add(requestTape(f)[len(http2.ClientPreface):], []byte{7})
	f.Fuzz(func(t *testing.T, b, places []byte) {
		whole := append(slices.Clip(greeting), b...)
		wantPlayed(t, toServer(t, append([][]byte{greeting}, cut(b, places)...)), toServer(t, [][]byte{whole}), "cut")
	})
}
