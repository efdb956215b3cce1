package proc

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc, 100 on every architecture that
// Go runs on.
const ticksPerSecond = 100

// scan looks at all processes. What vanishes meanwhile is left out.
func scan() table {
	t := table{}
	dir, err := os.Open("/proc")
	if err != nil {
		return t
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return t
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := look(pid); ok {
				t[pid] = p
			}
		}
	}
	return t
}

// look reads /proc/PID/stat.
func look(pid int) (process, bool) {
	var buf [1024]byte
	n := readSmall("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	return parseStat(pid, buf[:n])
}

// readSmall fills buf from a file that is read whole by one call, as those of
// /proc are, without the cost of an os.File.
func readSmall(path string, buf []byte) int {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	return max(n, 0) * btoi(err == nil)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parseStat takes apart a line such as
//
//	4711 (a name) S 1 4711 4711 …
//
// in which the name may itself hold spaces and parentheses.
func parseStat(pid int, line []byte) (process, bool) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 || end+2 >= len(line) {
		return process{}, false
	}
	field := bytes.Fields(line[end+2:]) // field[0] is the third of proc(5)
	if len(field) < 22 {
		return process{}, false
	}
	num := func(n int) uint64 {
		v, err := strconv.ParseUint(string(field[n-3]), 10, 64)
		if err != nil {
			return 0 // a negative number: none of ours
		}
		return v
	}
	state := field[0][0]
	return process{
		ident:   ident{pid: pid, start: num(22)},
		parent:  int(num(4)),
		group:   int(num(5)),
		session: int(num(6)),
		dead:    state == 'Z' || state == 'X',
		ticks:   num(14) + num(15),
		rss:     num(24) * uint64(os.Getpagesize()),
	}, true
}

// alive says whether this very process still runs.
func (id ident) alive() bool {
	p, ok := look(id.pid)
	return ok && p.ident == id && !p.dead
}

// signal sends to this very process, never to one that has got its number.
// A process that is gone is no error.
func (id ident) signal(sig syscall.Signal) error {
	// The descriptor refers to one process for good. If that one has our start
	// time, so has whoever gets the signal.
	fd, err := unix.PidfdOpen(id.pid, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	if !id.alive() {
		return nil
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		err = unix.Kill(id.pid, sig) // an old kernel, a sandbox, or no descriptors left
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// marked makes a test for processes whose environment bears the mark, or one
// that begins with it when it ends in a slash.
func marked(mark string) func(process) bool {
	want := []byte("\x00" + MarkName + "=" + mark)
	whole := !strings.HasSuffix(mark, "/")
	return func(p process) bool {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
		if err != nil || len(env) == 0 {
			return false
		}
		env = append([]byte{0}, env...)
		at := bytes.Index(env, want)
		if at < 0 {
			return false
		}
		rest := env[at+len(want):]
		return !whole || len(rest) == 0 || rest[0] == 0
	}
}

// childrenOf gives the numbers of the children of a process.
func childrenOf(pid int) []int {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	dir, err := os.Open(tasks)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var found []int
	buf := make([]byte, 16<<10)
	for _, name := range names {
		n := readSmall(tasks+"/"+name+"/children", buf)
		for word := range bytes.FieldsSeq(buf[:n]) {
			if child, err := strconv.Atoi(string(word)); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// commandOf gives the command line of a process, or its name in brackets when it
// has none.
func commandOf(pid int) string {
	at := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(at + "/cmdline")
	if err != nil {
		return ""
	}
	if words := strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")); words != "" {
		return words
	}
	name, err := os.ReadFile(at + "/comm")
	if err != nil {
		return ""
	}
	return "[" + strings.TrimSpace(string(name)) + "]"
}

// boot names the time since the system was started; start times compare only
// within it.
func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// since gives the time of day at which a process was started.
func (id ident) since() time.Time {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(stat)) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			if booted, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
				return time.Unix(booted, 0).Add(time.Duration(id.start) * (time.Second / ticksPerSecond))
			}
		}
	}
	return time.Time{}
}

func attributes(terminal bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:    true,
		Setctty:   terminal, // descriptor 0
		Pdeathsig: syscall.SIGKILL,
	}
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}
