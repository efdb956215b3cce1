package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// watchLimits looks at what inotify grants: every watched folder takes a watch,
// every mesh one instance.
func watchLimits() []finding {
	const wantWatches, wantInstances = 8192, 64
	var found []finding
	for _, l := range []struct {
		name string
		want int
		noun string
	}{
		{"max_user_watches", wantWatches, "watched folders"},
		{"max_user_instances", wantInstances, "programs that watch files"},
	} {
		text, err := os.ReadFile("/proc/sys/fs/inotify/" + l.name)
		if err != nil {
			continue // a kernel without it
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			continue
		}
		f := finding{"ok", "limits", fmt.Sprintf("%d %s", n, l.noun), ""}
		if n < l.want {
			f.Level, f.Hint = "warning", fmt.Sprintf("if files are not watched, raise it: sudo sysctl fs.inotify.%s=%d", l.name, l.want)
		}
		found = append(found, f)
	}
	return found
}
