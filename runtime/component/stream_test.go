package component

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// zeros is a body of n zeros.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(z.n, int64(len(p))))
	clear(p[:n])
	z.n -= int64(n)
	return n, nil
}

const large = 256 << 20

// allocated runs f and gives how many bytes it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestStreamFile: a large file goes in and comes out without being held in
// memory, under its name only when it is complete, and nowhere outside.
func TestStreamFile(t *testing.T) {
	dir := t.TempDir()
	l := running(t, Options{Dir: dir})
	apply(t, l, declare("files", "bindings.localstorage", "rootPath", "files"))
	files := l.App("app").Binding("files")
	name := map[string]string{"fileName": "../../a/large"}
	used := allocated(func() {
		out, err := files.Stream(t.Context(), "create", Stream{Body: io.NopCloser(&zeros{n: large}), Size: -1, Metadata: name})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(out.Body)
		if err != nil || string(answer) != `{"fileName":"a/large"}` || out.Body.Close() != nil {
			t.Errorf("answer %s, %v", answer, err)
		}
		if out, err = files.Stream(t.Context(), "get", Stream{Metadata: name}); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, out.Body)
		if err != nil || n != large || out.Size != large || out.Body.Close() != nil {
			t.Errorf("got %d bytes of %d, %v", n, out.Size, err)
		}
	})
	if used > 4<<20 {
		t.Errorf("streaming %d MiB allocated %d bytes", large>>20, used)
	}
	if _, err := os.Stat(filepath.Join(dir, "files", "a", "large")); err != nil {
		t.Error(err)
	}
	broken := io.NopCloser(io.MultiReader(strings.NewReader("half"), errReader{}))
	if _, err := files.Stream(t.Context(), "create", Stream{Body: broken, Metadata: map[string]string{"fileName": "half"}}); !errors.Is(err, errBroken) {
		t.Errorf("a body that breaks: %v", err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "files", "half*")); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
	if _, err := files.Stream(t.Context(), "get", Stream{Metadata: map[string]string{"fileName": "never"}}); err == nil || !strings.Contains(err.Error(), "file not found") {
		t.Errorf("got %v", err)
	}
	out, err := files.Stream(t.Context(), "list", Stream{})
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := io.ReadAll(out.Body); !bytes.Contains(list, []byte("a/large")) || out.Body.Close() != nil {
		t.Errorf("list %s", list)
	}
	if _, err := files.Invoke(t.Context(), "get", Payload{Metadata: map[string]string{"fileName": "a/large"}}); err != nil {
		t.Error(err)
	}
}

var errBroken = errors.New("broken")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

// TestStreamHTTP: bodies of any size go both ways at once.
func TestStreamHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/base/echo":
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("X-Mine")+" "+r.Header.Get("Api-Key"))
			_, _ = io.Copy(w, r.Body)
		default:
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer srv.Close()
	l := running(t, Options{})
	apply(t, l, declare("web", "bindings.http", "url", srv.URL+"/base", "securityToken", "t0", "securityTokenHeader", "Api-Key"))
	web := l.App("app").Binding("web")
	used := allocated(func() {
		md := map[string]string{"path": "echo", "X-Mine": "yes"}
		out, err := web.Stream(t.Context(), "create", Stream{Body: io.NopCloser(&zeros{n: large}), Size: large, ContentType: "application/x-zeros", Metadata: md})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, out.Body)
		if err != nil || n != large || out.Body.Close() != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
		if out.ContentType != "application/x-zeros" || out.Metadata["X-Seen"] != "POST yes t0" || out.Metadata["statusCode"] != "200" {
			t.Errorf("got %v, %v", out.ContentType, out.Metadata)
		}
	})
	if used > 8<<20 {
		t.Errorf("streaming %d MiB allocated %d bytes", large>>20, used)
	}
	if _, err := web.Stream(t.Context(), "get", Stream{Metadata: map[string]string{"path": "tea"}}); err == nil || err.Error() != "received status code 418" {
		t.Errorf("got %v", err)
	}
	out, err := web.Stream(t.Context(), "get", Stream{Metadata: map[string]string{"path": "tea", "errorIfNot2XX": "false"}})
	if err != nil || out.Metadata["statusCode"] != "418" {
		t.Fatalf("got %v, %v", out.Metadata, err)
	}
	if err := out.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := web.Stream(t.Context(), "dance", Stream{}); err == nil {
		t.Error("an operation that does not exist")
	}
}

// TestStreamInput: what only gives cannot take.
func TestStreamInput(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("tick", "bindings.cron", "schedule", "@every 1h"))
	if _, err := l.App("app").Binding("tick").Stream(t.Context(), "create", Stream{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
