package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestSizesAreDaprds(t *testing.T) {
	for _, tc := range []struct {
		args         string
		body, header int64
	}{
		{"", 0, 0},
		{"--max-body-size 4Mi --read-buffer-size 64Ki", 4 << 20, 64 << 10},
		{"--max-body-size 1000 --read-buffer-size 2k", 1000, 2000},
		{"--dapr-http-max-request-size 16 --dapr-http-read-buffer-size 8", 16 << 20, 8 << 10},
		{"--http-max-request-size 2 --http-read-buffer-size 1", 2 << 20, 1 << 10},
		{"--max-body-size 1Mi --dapr-http-max-request-size 16", 1 << 20, 0},
		{"--dapr-http-max-request-size 16 --max-body-size 1Mi", 1 << 20, 0},
		{"--dapr-http-max-request-size=-1", 0, 0},
	} {
		f, fs := &sidecarFlags{}, pflag.NewFlagSet("sidecar", pflag.ContinueOnError)
		f.add(fs)
		if err := fs.Parse(strings.Fields("--app-id a " + tc.args)); err != nil {
			t.Errorf("%s: %v", tc.args, err)
			continue
		}
		o, err := f.options(Env{Dir: t.TempDir(), Environ: []string{}}, fs.Changed, false)
		if err != nil || o.MaxBody != tc.body || o.HeaderLimit != tc.header {
			t.Errorf("%q: body %d, headers %d, %v; want %d, %d", tc.args, o.MaxBody, o.HeaderLimit, err, tc.body, tc.header)
		}
	}
	for _, bad := range []string{"4 Mi", "lots", "4Ti", "", "99999999Gi"} {
		f, fs := &sidecarFlags{}, pflag.NewFlagSet("sidecar", pflag.ContinueOnError)
		f.add(fs)
		if err := fs.Parse([]string{"--max-body-size", bad}); err == nil || !strings.Contains(err.Error(), "such as 4Mi") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
