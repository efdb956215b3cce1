package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// Headers by which a sidecar knows the app that is called and the caller's right.
const (
	appIDHeader = "dapr-app-id"
	tokenHeader = "dapr-api-token"
	// Says who calls, for the record of the call: not the app whose sidecar is used.
	clientHeader = "Mesh-Client"
	invokeClient = "mesh invoke"
)

type call struct {
	app, method    string
	verb, data     string
	headers        []string
	stream, header bool
}

func newInvoke(env Env) *cobra.Command {
	var o call
	cmd := &cobra.Command{
		Use:   "invoke APP METHOD",
		Short: "Call a method of an app through the mesh",
		Long: `invoke calls an app as another app of the mesh would, through a sidecar, and
prints the body of the reply as it arrives. METHOD is the path, with a query if
there is one. The body of the request comes from --data: the text itself, @FILE
or - for stdin; it streams, too, so that both directions may flow at once.

It exits with 0, with 4 when the status is 4xx, with 5 when it is 5xx, and with 1
when there was no reply or it broke off.`,
		Example: `  mesh invoke orders healthz
  mesh invoke orders 'items?limit=3'
  mesh invoke orders /buy -d '{"item": 7}' -H 'Content-Type: application/json'
  mesh invoke store /put -X PUT -d @photo.jpg
  mesh invoke chat /ask -d 'why is the sky blue?' --stream`,
		Args:              exactly(2, "invoke needs the id of an app and a method"),
		ValidArgsFunction: completeFirst(completeApps(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.app, o.method = args[0], args[1]
			if !cmd.Flags().Changed("request") {
				o.verb = http.MethodGet
				if cmd.Flags().Changed("data") {
					o.verb = http.MethodPost
				}
			}
			return invoke(cmd.Context(), env, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.data, "data", "d", "", "the body: text, @FILE, or - for stdin; makes the verb POST unless -X says otherwise")
	flags.StringVarP(&o.verb, "request", "X", "", "the verb (default GET, or POST with --data)")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "a header, such as 'Accept: text/plain'; may be repeated")
	flags.BoolVarP(&o.header, "include", "i", false, "print the status and the headers of the reply, too")
	flags.BoolVar(&o.stream, "stream", false, "tell on stderr when each piece of the reply arrives, and its size")
	return cmd
}

// completeFirst proposes words for the first argument only.
func completeFirst(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, begun)
	}
}

func invoke(ctx context.Context, env Env, o call) error {
	header, err := readHeaders(o.headers)
	if err != nil {
		return err
	}
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	port := entrance(m, o.app)
	if port == 0 {
		return &hinted{errors.New("no sidecar of the mesh has an HTTP port"), "see `mesh ps`"}
	}
	if _, has := header[http.CanonicalHeaderKey(tokenHeader)]; !has {
		token, err := c.Token(ctx)
		if err != nil {
			return err
		}
		if token != "" {
			header.Set(tokenHeader, token)
		}
	}
	header.Set(appIDHeader, o.app)
	header.Set(clientHeader, invokeClient)
	body, err := env.body(o.data)
	if err != nil {
		return err
	}
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, o.verb, fmt.Sprintf("http://127.0.0.1:%d/%s", port, strings.TrimPrefix(o.method, "/")), body)
	if err != nil {
		return usage(fmt.Errorf("making the request: %w", err))
	}
	if o.data == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else if text, ok := body.(*textBody); ok {
		req.ContentLength = text.Size()
	}
	req.Header = header
	err = exchange(env, o, req)
	if unknown := control.Known(m, o.app); unknown != nil && err != nil {
		// It may be an app of another mesh, so this is said only now.
		return &hinted{err, unknown.Why + "; " + unknown.Hint}
	}
	return err
}

// exchange sends a request and prints the reply.
func exchange(env Env, o call, req *http.Request) error {
	t := &http.Transport{DisableCompression: true} // bytes as they are, and no proxy
	defer t.CloseIdleConnections()
	begun := time.Now()
	resp, err := t.RoundTrip(req) // redirects are the app's answer
	if err != nil {
		if req.Context().Err() != nil {
			return context.Cause(req.Context())
		}
		return fmt.Errorf("calling %s: %w", o.app, err)
	}
	defer resp.Body.Close()
	if o.header {
		if err := printHead(env.Stdout, resp); err != nil {
			return printed(err)
		}
	}
	if o.stream {
		_, _ = fmt.Fprintf(env.Stderr, "+%v %s\n", time.Since(begun).Round(time.Microsecond), resp.Status)
	}
	if err := pour(env, resp.Body, begun, o.stream); err != nil {
		return fmt.Errorf("reading the reply of %s: %w", o.app, err)
	}
	if resp.StatusCode >= 400 {
		return &exitError{resp.StatusCode / 100, fmt.Errorf("%s answered %s", o.app, resp.Status)}
	}
	return nil
}

// pour prints what arrives as it arrives.
func pour(env Env, from io.Reader, begun time.Time, tell bool) error {
	buf := make([]byte, 32<<10)
	for n := 0; ; n++ {
		k, err := from.Read(buf)
		if k > 0 {
			if tell {
				_, _ = fmt.Fprintf(env.Stderr, "+%v #%d %s\n", time.Since(begun).Round(time.Microsecond), n, size(uint64(k)))
			}
			if _, err := env.Stdout.Write(buf[:k]); err != nil {
				return printed(err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func printHead(out io.Writer, resp *http.Response) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	for _, key := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[key] {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	_, err := io.WriteString(out, b.String()+"\n")
	return err
}

// entrance gives the HTTP port of a sidecar that takes the call: one of the app's
// own, or else any.
func entrance(m *state.Mesh, app string) (port int) {
	for _, a := range m.Apps {
		for _, in := range a.Instances {
			if in.HTTPPort != 0 && (port == 0 || a.ID == app) {
				port = in.HTTPPort
			}
			if in.HTTPPort != 0 && a.ID == app {
				return port
			}
		}
	}
	return port
}

// textBody is a body of known length.
type textBody struct{ *bytes.Reader }

// Close does nothing.
func (*textBody) Close() error { return nil }

// body opens what --data says.
func (e Env) body(data string) (io.ReadCloser, error) {
	switch name, isFile := strings.CutPrefix(data, "@"); {
	case data == "-", data == "@-":
		return io.NopCloser(e.Stdin), nil
	case isFile:
		f, err := os.Open(e.path(name))
		if err != nil {
			return nil, fmt.Errorf("opening the body: %w", err)
		}
		return f, nil
	default:
		return &textBody{bytes.NewReader([]byte(data))}, nil
	}
}

// readHeaders reads "Name: value".
func readHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usage(&hinted{fmt.Errorf("%q is not a header", line), "write it as 'Name: value'"})
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}
