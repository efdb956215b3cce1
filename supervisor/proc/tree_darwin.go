package proc

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of process.ticks, which is not known here.
const ticksPerSecond = 100

const stateZombie = 5 // SZOMB

// scan looks at all processes.
func scan() table {
	t := table{}
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return t
	}
	for i := range all {
		p := seenAs(&all[i])
		t[p.pid] = p
	}
	return t
}

// look reads what the system tells of one process.
func look(pid int) (process, bool) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return process{}, false
	}
	p := seenAs(k)
	return p, p.pid == pid
}

func seenAs(k *unix.KinfoProc) process {
	pid := int(k.Proc.P_pid)
	session, err := unix.Getsid(pid)
	if err != nil {
		session = 0
	}
	at := k.Proc.P_starttime
	return process{
		ident:   ident{pid: pid, start: uint64(at.Sec)*1e6 + uint64(at.Usec)},
		parent:  int(k.Eproc.Ppid),
		group:   int(k.Eproc.Pgid),
		session: session,
		dead:    k.Proc.P_stat == stateZombie,
	}
}

// alive says whether this very process still runs.
func (id ident) alive() bool {
	p, ok := look(id.pid)
	return ok && p.ident == id && !p.dead
}

// signal sends to this very process. A process that is gone is no error.
func (id ident) signal(sig syscall.Signal) error {
	if !id.alive() {
		return nil
	}
	if err := unix.Kill(id.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// marked finds nothing: the environment of other processes is not shown here.
func marked(string) func(process) bool { return func(process) bool { return false } }

// childrenOf gives the numbers of the children of a process.
func childrenOf(pid int) []int {
	var found []int
	for _, p := range scan() {
		if p.parent == pid {
			found = append(found, p.pid)
		}
	}
	return found
}

// commandOf gives the command line of a process.
func commandOf(pid int) string {
	//nolint:noctx // ps answers at once
	line, err := exec.Command("/bin/ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(line))
}

// boot names the time since the system was started.
func boot() string {
	at, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(at.Sec, 10)
}

// since gives the time of day at which a process was started.
func (id ident) since() time.Time { return time.UnixMicro(int64(id.start)) }

func attributes(terminal bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: terminal}
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}
