package tui

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow"
	"mesh/runtime/flow/export"
	"mesh/runtime/flow/filter"
	"mesh/tui/pane"
)

// Invocation is a call that the user makes from the screen.
type Invocation struct {
	From   string // the app through whose sidecar it goes; "": a client from outside
	Callee string
	Verb   string
	Path   string // with the leading slash
	Query  string // raw
	Header http.Header
	Body   []byte
}

// maxClipboard is how much is given to the terminal for its clipboard: many
// take no more.
const maxClipboard = 64 << 10

// exported is the end of a copy or an export.
type exported struct {
	clip string // "": nothing for the clipboard
	said string
	err  error
}

// exports gives the folder for what leaves the screen.
func (m *model) exports() string { return filepath.Join(m.world.Mesh.Dir, ".mesh", "exports") }

// entrance gives the URL of the sidecar by which an app calls others, or of the
// callee's for a caller from outside; "" when it has none.
func (m *model) entrance(caller, callee string) string {
	for _, id := range []string{caller, callee} {
		app := m.world.Mesh.Find(id)
		if app == nil {
			continue
		}
		for i := range app.Instances {
			if port := app.Instances[i].HTTPPort; port != 0 {
				return fmt.Sprintf("http://127.0.0.1:%d", port)
			}
		}
	}
	return ""
}

// copyFlow copies or exports a flow without waiting for it.
func (m *model) copyFlow(c pane.Copy) tea.Cmd {
	flows, dir, version := m.flows, m.exports(), m.opt.Version
	base := ""
	for i := range m.world.Flows {
		if v := &m.world.Flows[i]; v.ID == c.Flow {
			base = m.entrance(v.Caller, v.Callee)
		}
	}
	return func() tea.Msg {
		text, ext, err := render(flows, c, base, version)
		if err != nil {
			return exported{err: err}
		}
		file := filepath.Join(dir, c.Flow+"."+ext)
		if c.As == pane.FormatBytes {
			file = filepath.Join(dir, fmt.Sprintf("%s-%v-%d.%s", c.Flow, c.Span.Dir, c.Span.From, ext))
		}
		if err := write(file, text); err != nil {
			return exported{err: err}
		}
		e := exported{said: "written to " + filepath.Join(".mesh", "exports", filepath.Base(file))}
		switch {
		case c.File:
		case len(text) > maxClipboard:
			e.said = "too long for the clipboard; " + e.said
		default:
			e.clip, e.said = string(text), "copied, and "+e.said
		}
		return e
	}
}

// render gives a flow in the form that is asked for. version is that of mesh.
func render(flows Flows, c pane.Copy, base, version string) (text []byte, ext string, err error) {
	if c.As == pane.FormatBytes {
		b, ok := flows.Body(c.Flow, c.Span.Dir, c.Span.From, c.Span.To)
		if !ok {
			return nil, "", errForgotten
		}
		for _, p := range b.Parts {
			text = append(text, p.Data...)
		}
		if uint64(len(text)) != c.Span.To-c.Span.From {
			return nil, "", errors.New("the bytes of this chunk are not captured: b captures this stream, B all new ones")
		}
		return text, "bin", nil
	}
	r, ok := export.Read(flows, c.Flow, base)
	if !ok {
		return nil, "", errForgotten
	}
	var out bytes.Buffer
	switch c.As {
	case pane.FormatCurl:
		line, err := export.Curl(&r)
		return []byte(line), "sh", err
	case pane.FormatNDJSON:
		err = export.NDJSON(&out, &r)
	case pane.FormatHAR, pane.FormatBytes:
		err = export.HAR(&out, version, r)
	}
	return out.Bytes(), string(c.As), err
}

var errForgotten = errors.New("this stream is no longer remembered by the mesh")

// write writes a file that only the user may read: bodies are private.
func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("making the folder for exports: %w", err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("writing an export: %w", err)
	}
	return nil
}

// took tells how a copy or an export went.
func (m *model) took(e exported) tea.Cmd {
	if e.err != nil {
		m.say(e.err.Error(), true)
		return nil
	}
	m.say(e.said, false)
	if e.clip == "" {
		return nil
	}
	return tea.SetClipboard(e.clip)
}

// draft is a call to be made again, as far as it is known.
type draft struct {
	call Invocation
	note string // what is missing
	err  error
	file string // where it stands to be edited; "": it is not to be
}

// again makes the call of a flow once more.
func (m *model) again(a pane.Again) tea.Cmd {
	if m.opt.Invoke == nil {
		m.say("this screen cannot make calls", true)
		return nil
	}
	if a.Edit && m.opt.Edit == nil {
		m.say("there is no editor: set EDITOR", true)
		return nil
	}
	flows, dir := m.flows, m.exports()
	return func() tea.Msg {
		d := makeDraft(flows, a.Flow)
		if d.err == nil && a.Edit {
			d.file = filepath.Join(dir, "again-"+a.Flow+".http")
			d.err = write(d.file, formatCall(&d.call, d.note))
		}
		return d
	}
}

// makeDraft collects a call from what was captured of it.
func makeDraft(flows Flows, id string) (d draft) {
	r, ok := export.Read(flows, id, "")
	if !ok {
		d.err = errForgotten
		return d
	}
	if d.err = export.Callable(&r.View); d.err != nil {
		return d
	}
	d.call = Invocation{From: r.Caller, Callee: r.Callee, Verb: r.Verb, Path: r.Path, Query: r.Request.Query, Header: http.Header{}}
	var missing []string
	if body, ok := r.Request.Whole(filter.Bytes(&r.View, flow.Request)); ok {
		d.call.Body = body
	} else {
		missing = append(missing, "its body")
	}
	if r.Request.Header == nil {
		missing = append(missing, "its headers and query")
	}
	if strings.Contains(r.Request.Query, flow.Redacted) {
		missing = append(missing, "a secret of its query")
	}
	for key, values := range r.Request.Header {
		switch {
		case !export.Sent(key):
		case slices.Contains(values, flow.Redacted):
			missing = append(missing, "the secret "+strings.ToLower(key))
		default:
			d.call.Header[key] = values
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		d.note = "without " + strings.Join(missing, ", ") + " (B captures new streams)"
	}
	return d
}

// drafted goes on with a call that is to be made again.
func (m *model) drafted(d draft) tea.Cmd {
	if d.err != nil {
		m.say(d.err.Error(), true)
		return nil
	}
	if d.file != "" {
		return m.compose(d)
	}
	if strings.Contains(d.note, "its body") {
		m.say("its body was not captured, so it would not be the same call: R writes one, B captures new streams", true)
		return nil
	}
	return m.invoke(d.call, d.note)
}

// invoke makes a call and does not wait for it.
func (m *model) invoke(c Invocation, note string) tea.Cmd {
	what := c.Verb + " " + c.Path + " of " + c.Callee
	said := "again: " + what
	if note != "" {
		said += ", " + note
	}
	m.say(said, false)
	invoke := m.call
	return func() tea.Msg {
		status, err := invoke(c)
		if err != nil {
			return exported{err: fmt.Errorf("again: %s: %w", what, err)}
		}
		return exported{said: fmt.Sprintf("again: %s: %d", what, status)}
	}
}

// openDraft gives the command that lets the user edit a call.
func openDraft(ctx context.Context, edit func(context.Context, string, int, int, io.Reader, io.Writer) error, d draft) tea.Cmd {
	e := &editor{}
	e.run = func() error { return edit(ctx, d.file, 1, 1, e.in, e.out) }
	return tea.Exec(e, func(err error) tea.Msg {
		if err == nil {
			d.call, err = readCall(d.file, d.call)
		}
		d.file, d.note, d.err = "", "", err
		return d
	})
}

// formatCall writes a call as people edit it.
func formatCall(c *Invocation, note string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Save and leave the editor to make this call; empty the file to make none.\n")
	if note != "" {
		fmt.Fprintf(&b, "# %s\n", note)
	}
	path := c.Path
	if c.Query != "" {
		path += "?" + c.Query
	}
	fmt.Fprintf(&b, "%s %s\n", c.Verb, path)
	for _, key := range slices.Sorted(maps.Keys(c.Header)) {
		for _, v := range c.Header[key] {
			fmt.Fprintf(&b, "%s: %s\n", key, v)
		}
	}
	b.WriteByte('\n')
	if utf8.Valid(c.Body) {
		b.Write(c.Body)
	} else {
		b.WriteString(sameBody)
	}
	return b.Bytes()
}

// sameBody stands for a body that no editor could show.
const sameBody = "(the same bytes as before)"

var errEmptied = errors.New("the call was emptied, so none is made")

// readCall reads what formatCall wrote and the user has edited.
func readCall(file string, was Invocation) (Invocation, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return was, fmt.Errorf("reading the edited call: %w", err)
	}
	return parseCall(text, was)
}

func parseCall(text []byte, was Invocation) (Invocation, error) {
	c := Invocation{From: was.From, Callee: was.Callee, Header: http.Header{}}
	in := bufio.NewReader(bytes.NewReader(text))
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		end := err != nil && line == ""
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case c.Verb == "" && end:
			return c, errEmptied
		case c.Verb == "" && line == "":
		case c.Verb == "":
			words := strings.Fields(line)
			if len(words) != 2 || !strings.HasPrefix(words[1], "/") {
				return c, fmt.Errorf("line %d of the call: write the verb and a path that begins with a slash, not %q", n, line)
			}
			c.Verb = strings.ToUpper(words[0])
			c.Path, c.Query, _ = strings.Cut(words[1], "?")
		case end || line == "":
			return c, c.readBody(in, was.Body)
		default:
			key, value, ok := strings.Cut(line, ":")
			if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, " \t") {
				return c, fmt.Errorf("line %d of the call: %q is no header such as Accept: text/plain", n, line)
			}
			c.Header.Add(key, strings.TrimSpace(value))
		}
	}
}

// readBody takes the rest as the body. An editor ends the last line of a file,
// which is not to change a body that had no such end.
func (c *Invocation) readBody(in io.Reader, was []byte) error {
	body, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading the edited call: %w", err)
	}
	if !bytes.HasSuffix(was, []byte("\n")) {
		body = bytes.TrimSuffix(body, []byte("\n"))
	}
	if string(body) == sameBody {
		body = was
	}
	c.Body = body
	return nil
}
