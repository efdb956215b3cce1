package proc

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// PortHolder finds who listens on a TCP port. ok says that somebody does; pid
// is 0 when it is a process that we may not look into, command is short enough for
// a message.
func PortHolder(port int) (pid int, command string, ok bool) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, port, sockets)
	}
	if len(sockets) == 0 {
		return 0, "", false
	}
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return 0, "", true
	}
	for _, e := range dir {
		if pid, err := strconv.Atoi(e.Name()); err == nil && holds(pid, sockets) {
			return pid, shortCommand(commandOf(pid)), true
		}
	}
	return 0, "a process of another user", true
}

// listeners adds the sockets that listen on port, as the names of their
// descriptors.
func listeners(table string, port int, sockets map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	for s := bufio.NewScanner(f); s.Scan(); {
		field := strings.Fields(s.Text()) // 0: 0100007F:1F90 … 0A … inode
		if len(field) < 10 || field[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(field[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			sockets["socket:["+field[9]+"]"] = true
		}
	}
}

func holds(pid int, sockets map[string]bool) bool {
	at := "/proc/" + strconv.Itoa(pid) + "/fd/"
	dir, err := os.Open(at)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		if to, err := os.Readlink(at + name); err == nil && sockets[to] {
			return true
		}
	}
	return false
}
