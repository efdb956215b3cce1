package appchan

import (
	"context"
	"io"
	"sync"

	"mesh/runtime/stream"
)

// ask is send for a question of the sidecar itself, such as for the app's
// subscriptions. Drain waits for it as for any call, but whoever looks at the
// app, or is about to stop it, is not told of a call that nobody has made.
func (a *App) ask(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	a.own.Add(1)
	r, err := a.send(ctx, c)
	if err != nil {
		a.own.Add(-1)
		return nil, err
	}
	r.Body = &answer{ReadCloser: r.Body, app: a}
	return r, nil
}

// answer is the body of the reply to a question.
type answer struct {
	io.ReadCloser

	app  *App
	once sync.Once
}

// Close ends the question.
func (b *answer) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.app.own.Add(-1) })
	return err
}
