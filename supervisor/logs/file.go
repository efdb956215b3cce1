package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"mesh/supervisor/state"
)

const (
	// gather is how long lines are let come together before they are written:
	// long enough for few system calls, short enough for a ring not to turn.
	gather = 20 * time.Millisecond
	// batch bounds what is copied out of a ring while the book is locked.
	batch = 1024
	// timeFormat sorts as text.
	timeFormat = "2006-01-02T15:04:05.000Z07:00"
)

// Run writes the files until ctx ends, and then what is still unwritten. An
// error of a file does not end it: the lines count as skipped and the next
// ones are tried again. Without Options.Dir it only waits.
func (b *Book) Run(ctx context.Context) error {
	if b.o.Dir == "" {
		<-ctx.Done()
		return nil
	}
	files := map[string]*file{}
	defer func() {
		for _, f := range files {
			f.close()
		}
	}()
	for seq := uint64(0); ; {
		ended := b.Wait(ctx, seq) != nil
		if !ended {
			t := time.NewTimer(gather)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
		seq = b.Last()
		for _, name := range b.instances() {
			if files[name] == nil {
				files[name] = &file{path: filepath.Join(b.o.Dir, fileName(name)), most: b.o.FileSize, files: b.o.Files}
			}
			b.save(name, files[name])
		}
		if ended {
			return nil
		}
	}
}

// instances names all that have lines to be written. Marks have no file of
// their own.
func (b *Book) instances() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.rings))
	for name := range b.rings {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// save writes what is new of one instance.
func (b *Book) save(name string, f *file) {
	for {
		lines, missed := b.unwritten(name, f.taken)
		f.taken += missed + uint64(len(lines))
		err := f.write(lines, missed)
		if err != nil {
			missed += uint64(len(lines))
		}
		b.mu.Lock()
		b.skipped += missed
		if err != nil {
			err = fmt.Errorf("writing the log of %s: %w", name, err)
			b.fault = err
		}
		b.mu.Unlock()
		if err != nil && !f.failing && b.o.Failed != nil {
			b.o.Failed(err)
		}
		if len(lines)+int(missed) > 0 {
			f.failing = err != nil
		}
		if len(lines) < batch {
			return
		}
	}
}

// unwritten copies lines of an instance of which the first taken ones have
// been dealt with, and says how many were pushed out before that.
func (b *Book) unwritten(name string, taken uint64) (lines []state.Line, missed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rings[name]
	if r.dropped > taken {
		missed = r.dropped - taken
		taken = r.dropped
	}
	from := int(taken - r.dropped)
	for i := from; i < min(r.n, from+batch); i++ {
		lines = append(lines, *r.at(i))
	}
	return lines, missed
}

// file is the log of one instance on disk.
type file struct {
	path  string
	most  int64 // bytes before it is set aside
	files int   // kept, with this one

	taken   uint64 // lines of the ring that have been dealt with
	failing bool   // the last lines did not reach the disk
	f       *os.File
	w       *bufio.Writer
	size    int64
	open    string // stream of an unfinished line at the end, ""
}

func (f *file) write(lines []state.Line, missed uint64) error {
	if len(lines) == 0 && missed == 0 {
		return nil
	}
	if missed > 0 {
		at := time.Now()
		if len(lines) > 0 {
			at = lines[0].At
		}
		note := strconv.FormatUint(missed, 10) + " lines are missing here: the disk was slower than the app"
		lines = append([]state.Line{{At: at, Stream: StreamMesh, Text: note}}, lines...)
	}
	for i := range lines {
		if err := f.add(&lines[i]); err != nil {
			f.close()
			return err
		}
	}
	if err := f.w.Flush(); err != nil {
		f.close()
		return err
	}
	return nil
}

func (f *file) add(l *state.Line) error {
	if f.f != nil && f.size >= f.most && f.open == "" {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.f == nil {
		if err := f.create(); err != nil {
			return err
		}
	}
	text := make([]byte, 0, len(timeFormat)+len(l.Stream)+len(l.Text)+4)
	switch {
	case f.open == "":
		text = f.prefix(text, l)
	case f.open != l.Stream: // another stream has come in between
		text = f.prefix(append(text, '\n'), l)
	}
	text = append(text, l.Text...)
	f.open = l.Stream
	if !l.Partial {
		text = append(text, '\n')
		f.open = ""
	}
	n, err := f.w.Write(text)
	f.size += int64(n)
	return err
}

func (f *file) prefix(text []byte, l *state.Line) []byte {
	text = l.At.AppendFormat(text, timeFormat)
	text = append(text, ' ')
	text = append(text, l.Stream...)
	return append(text, ' ')
}

// create opens the file, and goes on at its end when there is one.
func (f *file) create() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	to, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := to.Stat()
	if err != nil {
		to.Close()
		return err
	}
	f.f, f.w, f.size, f.open = to, bufio.NewWriterSize(to, 64<<10), info.Size(), ""
	return nil
}

// rotate sets the file aside and lets the oldest one go.
func (f *file) rotate() error {
	if err := f.w.Flush(); err != nil {
		return err
	}
	f.close()
	if f.files == 1 {
		return os.Remove(f.path)
	}
	for i := f.files - 1; i > 0; i-- {
		from := f.path
		if i > 1 {
			from += "." + strconv.Itoa(i-1)
		}
		if err := os.Rename(from, f.path+"."+strconv.Itoa(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *file) close() {
	if f.f != nil {
		f.f.Close() // what matters has been flushed
		f.f = nil
	}
}
