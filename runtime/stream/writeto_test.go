package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRepliesWriteThemselves(t *testing.T) {
	broken := errors.New("the app crashed")
	for _, tc := range []struct {
		name string
		body io.Reader
		size int
		err  string
	}{
		{"nothing", strings.NewReader(""), 0, ""},
		{"a byte", strings.NewReader("x"), 1, ""},
		{"frames and a bit", strings.NewReader(strings.Repeat("0123456789", 30_000)), 300_000, ""},
		{"something broken", io.MultiReader(strings.NewReader("half"), errReader{broken}), 4, "the app crashed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := pair(t, false, HandlerFunc(func(context.Context, *Call) (*Reply, error) {
				return &Reply{Status: 200, Header: http.Header{}, Length: -1, Body: io.NopCloser(tc.body)}, nil
			}))
			r, err := o.Handle(within(t), get("m"))
			if err != nil {
				t.Fatal(err)
			}
			to, ok := r.Body.(io.WriterTo)
			if !ok {
				t.Fatalf("a %T", r.Body)
			}
			var got bytes.Buffer
			n, err := to.WriteTo(&got)
			if n != int64(tc.size) || got.Len() != tc.size {
				t.Errorf("%d bytes, %d written", n, got.Len())
			}
			if (tc.err == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v", err)
			}
			_ = r.Body.Close()
		})
	}
	t.Run("to one who has gone", func(t *testing.T) {
		gone := errors.New("the client has gone")
		o := pair(t, false, HandlerFunc(func(context.Context, *Call) (*Reply, error) { return text(200, "x"), nil }))
		r, err := o.Handle(within(t), get("m"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Body.(io.WriterTo).WriteTo(errWriter{gone}); !errors.Is(err, gone) { //nolint:errcheck // shown above
			t.Errorf("error %v", err)
		}
		_ = r.Body.Close()
	})
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }
