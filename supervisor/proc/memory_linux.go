package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryKills gives how many processes of our control group, and of those below
// it, the system has killed for lack of memory, theirs or the machine's. ok is
// false where the system does not tell.
func memoryKills() (n uint64, ok bool) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "":
			n, ok = killsIn("/sys/fs/cgroup", path, "memory.events")
		case "memory":
			n, ok = killsIn("/sys/fs/cgroup/memory", path, "memory.oom_control")
		}
		if ok {
			return n, true
		}
	}
	return 0, false
}

// killsIn reads the count from a file of a control group. In a container its
// path is that of the host, and what is mounted is the group itself.
func killsIn(root, path, file string) (n uint64, ok bool) {
	for _, dir := range []string{filepath.Join(root, path), root} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if count, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
				n, err = strconv.ParseUint(count, 10, 64)
				return n, err == nil
			}
		}
	}
	return 0, false
}
