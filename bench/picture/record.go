package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// cast is the head of a recording in the format of asciinema, version 2. Our
// own recordings write a whole screen with each event.
type cast struct {
	Version int    `json:"version"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Title   string `json:"title,omitempty"`
}

// moment is a screen and when it was first seen, in seconds.
type moment struct {
	at    float64
	lines []string
}

// record looks at a tmux session again and again and writes what has changed.
func record(ctx context.Context, session string, every time.Duration, out io.Writer) error {
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	last, begun := "", time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		text, err := exec.CommandContext(context.WithoutCancel(ctx), "tmux", "capture-pane", "-e", "-p", "-t", session).Output()
		if err != nil {
			return fmt.Errorf("looking at the tmux session %s: %w", session, err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if n == 0 {
			size, err := exec.CommandContext(context.WithoutCancel(ctx), "tmux", "display-message", "-p", "-t", session, "#{pane_width} #{pane_height}").Output()
			if err != nil {
				return fmt.Errorf("asking for the size of the tmux session %s: %w", session, err)
			}
			head := cast{Version: 2}
			if _, err := fmt.Sscan(string(size), &head.Width, &head.Height); err != nil {
				return fmt.Errorf("reading the size of the tmux session %s: %w", session, err)
			}
			if err := enc.Encode(head); err != nil {
				return fmt.Errorf("writing the recording: %w", err)
			}
		}
		if frame := "\x1b[H\x1b[0m" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"; frame != last {
			last = frame
			if err := enc.Encode([]any{time.Since(begun).Seconds(), "o", frame}); err != nil {
				return fmt.Errorf("writing the recording: %w", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := enc.Encode([]any{time.Since(begun).Seconds(), "o", ""}); err != nil {
				return fmt.Errorf("writing the recording: %w", err)
			}
			return w.Flush()
		}
	}
}

// play reads a recording that record wrote, and how long it lasts.
func play(in io.Reader) (head cast, all []moment, long float64, err error) {
	d := json.NewDecoder(in)
	if err := d.Decode(&head); err != nil {
		return head, nil, 0, fmt.Errorf("reading the head of the recording: %w", err)
	}
	for {
		var event []json.RawMessage
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			return head, all, long, nil
		} else if err != nil {
			return head, nil, 0, fmt.Errorf("reading the recording: %w", err)
		}
		var m moment
		var frame string
		if len(event) != 3 || json.Unmarshal(event[0], &m.at) != nil || json.Unmarshal(event[2], &frame) != nil {
			return head, nil, 0, errors.New("reading the recording: it is not one of ours")
		}
		long = m.at
		if frame == "" {
			continue
		}
		frame = strings.NewReplacer("\x1b[H\x1b[0m", "", "\x1b[K", "", "\x1b[J", "").Replace(frame)
		m.lines = strings.Split(frame, "\r\n")
		all = append(all, m)
	}
}
