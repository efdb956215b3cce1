package component

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/components-contrib/bindings/localstorage"
	"github.com/dapr/kit/logger"
)

// files is contrib's binding to a folder, which besides can read and write
// files piece by piece.
type files struct {
	bindings.OutputBinding
	root string
}

var (
	_ bindings.OutputBinding = (*files)(nil)
	_ streamer               = (*files)(nil)
)

func newFiles(log logger.Logger) *files {
	return &files{OutputBinding: localstorage.NewLocalStorage(log)}
}

// Init checks the folder as contrib does, and makes it.
func (f *files) Init(ctx context.Context, m bindings.Metadata) error {
	f.root, _ = m.GetProperty("rootPath")
	return f.OutputBinding.Init(ctx, m)
}

// stream writes a file for create and reads one for get; the metadata fileName
// names it. Other operations have no payload worth streaming.
func (f *files) stream(ctx context.Context, operation string, in Stream) (Stream, error) {
	root, err := os.OpenRoot(f.root) // nothing outside the folder can be reached, not even by a link
	if err != nil {
		return Stream{}, fmt.Errorf("opening the folder: %w", err)
	}
	defer root.Close()
	// Names are taken as if the folder were the root of all files, as contrib does.
	name := strings.TrimPrefix(filepath.Clean("/"+in.Metadata["fileName"]), "/")
	switch {
	case operation == "create" && in.Decode:
		return f.decode(ctx, in)
	case operation == "create":
		if name == "" {
			name = rand.Text()
		}
		return f.write(root, name, in)
	case operation == "get" && name == "":
		return Stream{}, errors.New("the metadata fileName does not say which file")
	case operation == "get":
		file, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return Stream{}, fmt.Errorf("file not found: %s", name)
		}
		if err != nil {
			return Stream{}, fmt.Errorf("reading: %w", err)
		}
		size := int64(-1)
		if info, err := file.Stat(); err == nil {
			size = info.Size()
		}
		return Stream{Body: file, Size: size}, nil
	}
	got, err := f.Invoke(ctx, &bindings.InvokeRequest{Operation: bindings.OperationKind(operation), Metadata: in.Metadata})
	if err != nil || got == nil {
		return Stream{}, err
	}
	return Stream{Body: io.NopCloser(bytes.NewReader(got.Data)), Size: int64(len(got.Data))}, nil
}

// decode leaves a value of a JSON request to contrib, which knows base64.
func (f *files) decode(ctx context.Context, in Stream) (Stream, error) {
	data, err := io.ReadAll(in.Body)
	if err != nil {
		return Stream{}, fmt.Errorf("reading the payload: %w", err)
	}
	got, err := f.Invoke(ctx, &bindings.InvokeRequest{Operation: "create", Data: data, Metadata: in.Metadata})
	if err != nil || got == nil {
		return Stream{}, err
	}
	return Stream{Body: io.NopCloser(bytes.NewReader(got.Data)), Size: int64(len(got.Data))}, nil
}

// write makes the file appear under its name when it is complete.
func (*files) write(root *os.Root, name string, in Stream) (Stream, error) {
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return Stream{}, fmt.Errorf("making the folder of %s: %w", name, err)
	}
	part := name + "." + rand.Text() + ".part"
	file, err := root.Create(part)
	if err != nil {
		return Stream{}, fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = io.Copy(file, in.Body)
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		_ = root.Remove(part)
		return Stream{}, fmt.Errorf("writing %s: %w", name, err)
	}
	answer, err := json.Marshal(map[string]string{"fileName": name})
	if err != nil {
		return Stream{}, err
	}
	return Stream{Body: io.NopCloser(bytes.NewReader(answer)), Size: int64(len(answer)), ContentType: "application/json"}, nil
}
