package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNothingIsSmuggled sends requests that could be understood in two ways, each
// with a second one hidden in it. Whatever the client is answered, the app never
// gets the hidden one, and nobody else's next call is disturbed.
func TestNothingIsSmuggled(t *testing.T) {
	const hidden = "GET /v1.0/invoke/back/method/hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	inside := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	shapes := map[string]string{
		"length and chunks, chunks last":  "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length, length short": "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + inside,
		"two lengths":                     "Content-Length: 0\r\nContent-Length: 70\r\n\r\n",
		"a list of lengths":               "Content-Length: 0, 70\r\n\r\n",
		"a length with a sign":            "Content-Length: +0\r\n\r\n",
		"a length in hexadecimal":         "Content-Length: 0x0\r\n\r\n",
		"a space before the colon":        "Content-Length : 0\r\n\r\n",
		"coding with a space before":      "Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"coding with a letter more":       "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"coding twice":                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"coding in a list":                "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"coding with a vertical tab":      "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"coding on a folded line":         "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"coding behind a line feed":       "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding behind a carriage return": "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"the end with line feeds":         "X: y\n\n",
		"a chunk size with a prefix":      "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
		"a chunk that is too long":        "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"chunk lines with line feeds":     "Transfer-Encoding: chunked\r\n\r\n0\n\n",
		"a line feed in an extension":     "Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
	}
	eachTransport(t, func(t *testing.T, m *mesh) {
		var mu sync.Mutex
		var seen []string
		m.app("back", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			mu.Lock()
			seen = append(seen, r.URL.Path)
			mu.Unlock()
			_, _ = fmt.Fprintf(w, "%s %d", r.URL.Path, len(b))
		})
		host := strings.TrimPrefix(strings.Split(m.url("", ""), "/v1.0")[0], "http://")
		n := 0
		for name, shape := range shapes {
			n++
			path := fmt.Sprintf("/seen-%d", n) // the app may hear late of one that broke off
			mu.Lock()
			seen = nil
			mu.Unlock()
			c, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			must(t, c.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(c, "POST /v1.0/invoke/back/method"+path+" HTTP/1.1\r\nHost: h\r\n"+shape+hidden)
			must(t, err)
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				_ = c.Close()
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			if !res.Close {
				t.Errorf("%s: the connection goes on after %d", name, res.StatusCode)
			}
			if more, _ := io.ReadAll(r); len(more) > 0 {
				t.Errorf("%s: there is a second answer: %q", name, more)
			}
			_ = c.Close()
			if _, got := m.call("POST", "back", "next", "xyz"); got != "/next 3" {
				t.Errorf("%s: the next call gets %q", name, got)
			}
			mu.Lock()
			times := 0
			for _, got := range seen {
				if got == path {
					times++
				}
			}
			if times > 1 || strings.Contains(strings.Join(seen, " "), "hidden") {
				t.Errorf("%s: the app got %s", name, seen)
			}
			mu.Unlock()
		}
	})
}
