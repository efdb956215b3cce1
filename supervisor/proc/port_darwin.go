package proc

import (
	"os/exec"
	"strconv"
	"strings"
)

// PortHolder finds who listens on a TCP port. ok says that somebody does; pid
// is 0 when it is a process that we may not look into, command is short enough for
// a message.
func PortHolder(port int) (pid int, command string, ok bool) {
	//nolint:noctx // it looks at local tables only
	out, err := exec.Command("/usr/sbin/lsof", "-nP", "-t", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	if pid, bad := strconv.Atoi(first); err == nil && bad == nil {
		return pid, shortCommand(commandOf(pid)), true
	}
	return 0, "a process of another user", bindable(port) != nil
}
