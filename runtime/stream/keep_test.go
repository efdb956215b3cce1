package stream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// arrivals is a body whose pieces come when the test sends them.
type arrivals struct {
	pieces chan []byte
	asked  chan struct{} // gets one when a Read begins to wait
}

func (a *arrivals) Read(p []byte) (int, error) {
	a.asked <- struct{}{}
	b, ok := <-a.pieces
	if !ok {
		return 0, io.EOF
	}
	return copy(p, b), nil
}

// read reads once, in a goroutine of its own.
func read(a *Attempt, p []byte) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := a.Read(p)
		ended <- err
	}()
	return ended
}

// TestAGivenUpTryDoesNotWait: it returns at once, and what comes later is there
// for the next try.
func TestAGivenUpTryDoesNotWait(t *testing.T) {
	body := &arrivals{pieces: make(chan []byte), asked: make(chan struct{}, 10)}
	k := Keep(body, true)
	first := k.Try()
	waits := read(first, make([]byte, 10))
	<-body.asked
	second := k.Try()
	if n := second.Len(); n != 0 {
		t.Errorf("%d bytes are there while another try waits for the first", n)
	}
	first.GiveUp()
	if err := <-waits; !errors.Is(err, errGivenUp) {
		t.Errorf("the read that waited gives %v", err)
	}
	if _, err := first.Read(make([]byte, 10)); !errors.Is(err, errGivenUp) {
		t.Errorf("a later read gives %v", err)
	}
	go func() {
		body.pieces <- []byte("some")
		close(body.pieces)
	}()
	if got, err := io.ReadAll(second); string(got) != "some" || err != nil {
		t.Errorf("the next try reads %q, %v", got, err)
	}
	if got, err := io.ReadAll(k.Try()); string(got) != "some" || err != nil {
		t.Errorf("the one after it reads %q, %v", got, err)
	}
}

// TestNoTryReadsPastAGap: when a try that has failed took more than is kept,
// those that had begun before do not go on behind it.
func TestNoTryReadsPastAGap(t *testing.T) {
	body := strings.NewReader(strings.Repeat("a", 100) + strings.Repeat("b", ReplayLimit) + "c")
	k := Keep(body, true)
	first, second := k.Try(), k.Try()
	for _, a := range []*Attempt{first, second} {
		if _, err := io.ReadFull(a, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(first, make([]byte, ReplayLimit)); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Read(make([]byte, 10)); n > 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the second try reads %d bytes, %v", n, err)
	}
	if rest, err := io.ReadAll(first); string(rest) != "c" || err != nil {
		t.Errorf("the first try ends with %q, %v", rest, err)
	}
	if k.Again() == "" {
		t.Error("a body that is no longer kept is to be sent again")
	}
}

// TestKeptBodyIsWhole: up to the limit, whatever the sizes of the reads, each
// try reads what the one before it has read.
func TestKeptBodyIsWhole(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), ReplayLimit/16)
	for _, body := range []io.Reader{bytes.NewReader(want), struct{ io.Reader }{bytes.NewReader(want)}} {
		k := Keep(body, true)
		if _, err := io.ReadFull(k.Try(), make([]byte, 100_001)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := io.ReadAll(k.Try()); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
			}
		}
		if why := k.Again(); why != "" {
			t.Errorf("not again: %s", why)
		}
	}
}
