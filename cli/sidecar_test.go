package cli

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/spf13/pflag"
)

// TestSidecarsAtOnce: sidecars that start at the same moment need nothing but
// their app ids to get ports of their own.
func TestSidecarsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			f := &sidecarFlags{}
			fs := pflag.NewFlagSet("sidecar", pflag.ContinueOnError)
			f.add(fs)
			if err := fs.Parse([]string{"--app-id", fmt.Sprintf("app%d", i)}); err != nil {
				t.Error(err)
				return
			}
			s, _, err := Env{Dir: dir, Environ: []string{}}.bindSidecar(f, fs.Changed, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("sidecar %d: %v", i, err)
				return
			}
			t.Cleanup(s.Close)
		})
	}
	wg.Wait()
}
