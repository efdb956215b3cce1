package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// message is what `mesh publish` publishes.
type message struct {
	app, pubsub, topic string
	contentType        string
	metadata           []string
}

func newPublish(env Env) *cobra.Command {
	var o message
	cmd := &cobra.Command{
		Use:   "publish PUBSUB TOPIC [DATA]",
		Short: "Publish a message to a topic",
		Long: `publish gives a message to a pub/sub component as an app of the mesh would, through
the sidecar of --app, or of the first app that may use the component. DATA is the
message itself, @FILE, or - for stdin, which is read when DATA is missing, too.
It succeeds when the component has taken the message.

Without --content-type, JSON is application/json, a CloudEvent in JSON is
application/cloudevents+json, and everything else is text/plain. --metadata is
given to the component: ttlInSeconds, rawPayload and what else it knows.`,
		Example: `  mesh publish pubsub orders '{"id": 7}'
  mesh publish pubsub orders @order.json --app shop
  mesh publish pubsub orders 'as it is' --metadata rawPayload=true --metadata ttlInSeconds=60
  curl -s https://example.com/feed.xml | mesh publish pubsub feed --content-type application/xml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 3 {
				return none(cmd, args[3:])
			}
			return atLeast(2, "publish needs the name of a pub/sub component and a topic")(cmd, args)
		},
		ValidArgsFunction: completeFirst(completePubSubs(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pubsub, o.topic = args[0], args[1]
			body := io.NopCloser(env.Stdin)
			if len(args) == 3 {
				var err error
				if body, err = env.body(args[2]); err != nil {
					return err
				}
			} else if env.StdinTTY {
				return usage(&hinted{errors.New("publish needs a message"), "usage: " + cmd.UseLine() + "; - reads it from the terminal"})
			}
			defer body.Close()
			return publish(cmd.Context(), env, o, body)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.app, "app", "", "the app or instance whose sidecar publishes")
	flags.StringArrayVar(&o.metadata, "metadata", nil, "NAME=VALUE for the component; may be repeated")
	flags.StringVar(&o.contentType, "content-type", "", "what the data is (default: found out)")
	if err := cmd.RegisterFlagCompletionFunc("app", completeApps(env)); err != nil {
		panic(err) // the flag is missing above
	}
	return cmd
}

// publish gives the message in body to a sidecar.
func publish(ctx context.Context, env Env, o message, body io.Reader) error {
	query := url.Values{}
	for _, pair := range o.metadata {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return usage(&hinted{fmt.Errorf("%q is no metadata", pair), "write it as NAME=VALUE, such as ttlInSeconds=60"})
		}
		query.Set("metadata."+name, value)
	}
	c, m, err := env.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	port, err := publisher(m, o)
	if err != nil {
		return err
	}
	token, err := c.Token(ctx)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("reading the message: %w", err)
	}
	if o.contentType == "" {
		o.contentType = contentType(data)
	}
	at := url.URL{
		Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port),
		Path: "/v1.0/publish/" + o.pubsub + "/" + o.topic, RawQuery: query.Encode(),
	}
	at.RawPath = "/v1.0/publish/" + url.PathEscape(o.pubsub) + "/" + url.PathEscape(o.topic)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", o.contentType)
	if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	return deliver(req, o)
}

// deliver sends the request and says what the sidecar has against it.
func deliver(req *http.Request, o message) error {
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		if req.Context().Err() != nil {
			return context.Cause(req.Context())
		}
		return fmt.Errorf("publishing to %s: %w", o.pubsub, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 {
		return nil
	}
	var problem struct {
		Message string `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || json.Unmarshal(text, &problem) != nil || problem.Message == "" {
		return fmt.Errorf("publishing to %s: the sidecar answered %s %s", o.pubsub, resp.Status, text)
	}
	return fmt.Errorf("publishing to %s: %s", o.pubsub, problem.Message)
}

// publisher gives the HTTP port of the sidecar that is to publish.
func publisher(m *state.Mesh, o message) (port int, err error) {
	if o.app != "" {
		if unknown := control.Known(m, o.app); unknown != nil {
			return 0, unknown
		}
		if in := control.Instance(m, o.app); in != nil && in.HTTPPort != 0 {
			return in.HTTPPort, nil
		}
		return 0, &hinted{fmt.Errorf("%s has no sidecar now", o.app), "see `mesh ps`"}
	}
	i := slices.IndexFunc(m.Components, func(c state.Component) bool { return c.Name == o.pubsub })
	if i < 0 {
		return 0, unknownPubSub(m, o.pubsub)
	}
	scopes := m.Components[i].Scopes
	for _, a := range m.Apps {
		if len(scopes) > 0 && !slices.Contains(scopes, a.ID) {
			continue
		}
		for _, in := range a.Instances {
			if in.HTTPPort != 0 {
				return in.HTTPPort, nil
			}
		}
	}
	if len(scopes) > 0 {
		return 0, &hinted{fmt.Errorf("none of the apps that may use %s has a sidecar now: %s", o.pubsub, strings.Join(scopes, ", ")), "see `mesh ps`"}
	}
	return 0, &hinted{errors.New("no sidecar of the mesh has an HTTP port"), "see `mesh ps`"}
}

func unknownPubSub(m *state.Mesh, name string) error {
	names := pubSubs(m)
	hint := "it has " + strings.Join(names, ", ")
	if near := control.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	} else if len(names) == 0 {
		hint = "it has none: declare one in " + m.File
	}
	return &hinted{fmt.Errorf("the mesh has no pub/sub component %q", name), hint}
}

// pubSubs names the pub/sub components of a mesh.
func pubSubs(m *state.Mesh) (names []string) {
	for _, c := range m.Components {
		if strings.HasPrefix(c.Type, "pubsub.") && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// completePubSubs proposes the pub/sub components of the running mesh.
func completePubSubs(env Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var fit []string
		if c, m, err := env.reach(cmd.Context()); err == nil {
			defer c.Close()
			fit = pubSubs(m)
		}
		return slices.DeleteFunc(fit, func(n string) bool { return !strings.HasPrefix(n, begun) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// contentType finds out what a message is.
func contentType(data []byte) string {
	if !json.Valid(data) {
		return "text/plain"
	}
	var event struct {
		Version string `json:"specversion"`
		Type    string `json:"type"`
		Source  string `json:"source"`
	}
	if json.Unmarshal(data, &event) == nil && event.Version != "" && event.Type != "" && event.Source != "" {
		return "application/cloudevents+json"
	}
	return "application/json"
}
