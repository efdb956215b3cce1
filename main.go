// Mesh runs a whole local mesh of services: every app of mesh.toml as a child
// process, each with a Dapr-compatible streaming sidecar in this process, and a
// terminal screen that shows their invocations chunk by chunk while they stream.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mesh/cli"
)

// lastWords is how long a mesh that is told to end a second time has for
// killing its apps and giving the terminal back.
const lastWords = 2 * time.Second

func main() {
	env, err := cli.OS()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
	ctx, kill, hangup := signals(cli.WantsHangup(os.Args))
	env.Kill, env.Hangup, env.Resized = kill, hangup, resized()
	os.Exit(cli.Main(ctx, os.Args[1:], env))
}

// signals gives a context that the first signal to end cancels, with the signal
// as the cause, and a channel that the second one closes. Soon after the second
// one, and at once with the third, the process ends whatever it does. A hangup
// is a signal to end, unless it is wanted for something else.
func signals(wantsHangup bool) (ctx context.Context, killed, hungUp <-chan struct{}) {
	ctx, cancel := context.WithCancelCause(context.Background())
	kill := make(chan struct{})
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM}
	hangup := make(chan struct{}, 1)
	switch {
	case wantsHangup:
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		go func() { // lasts as long as the process
			for range hangups {
				hangup <- struct{}{}
			}
		}()
	case !signal.Ignored(syscall.SIGHUP): // nohup means it
		ending = append(ending, syscall.SIGHUP)
	}
	came := make(chan os.Signal, 4)
	signal.Notify(came, ending...)
	go func() { // lasts as long as the process
		cancel(cli.SignalError{Signal: number(<-came)})
		second := number(<-came)
		close(kill)
		select {
		case <-came:
		case <-time.After(lastWords):
		}
		os.Exit(128 + int(second))
	}()
	return ctx, kill, hangup
}

// resized gives a channel that gets a value when the terminal has another size.
func resized() <-chan struct{} {
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGWINCH)
	sizes := make(chan struct{}, 1)
	go func() { // lasts as long as the process
		for range came {
			select {
			case sizes <- struct{}{}:
			default: // somebody is to look already
			}
		}
	}()
	return sizes
}

// number gives the number of a signal, which every signal has on Unix.
func number(s os.Signal) syscall.Signal {
	n, _ := s.(syscall.Signal)
	return n
}
