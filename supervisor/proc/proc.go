// Package proc runs one child process and sees to it that nothing of it
// survives: it starts the program in a session of its own, hands over its
// output line by line, stops the whole tree of processes that came out of it,
// and says in words why it ended.
//
// A tree is everything that descends from the program: the members of its
// session and process group, the children of its children, and those that left
// both and were orphaned on purpose. The last kind is found by the mark that
// every child carries in its environment (see MarkName) and because members
// are remembered once they have been seen. A process is always named by its
// number together with the time at which it started, so that a number that the
// system has given to somebody else is never signalled.
//
// A Guardian is a second, tiny process that ends all trees when this one dies
// without having done so itself. When even that one is killed, Leftovers finds
// in the next run what the last one has left.
package proc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MarkName is the environment variable by which the processes of a tree are
// found. Its value is the run, a slash and the number of the child in the run.
const MarkName = "MESH_RUN"

// DefaultGrace is the time between the polite signal and SIGKILL when a Spec
// does not say.
const DefaultGrace = 10 * time.Second

// Spec says what to start and how to end it.
type Spec struct {
	Name   string         // for messages
	Argv   []string       // program and arguments; a program without a slash is looked up in the PATH of Env
	Shell  string         // used when Argv is empty: a line for sh -c
	Dir    string         // working folder; empty: ours
	Env    []string       // the complete environment, KEY=value; MarkName is added
	Signal syscall.Signal // asks to stop; 0: SIGTERM
	Grace  time.Duration  // from Signal to SIGKILL; 0: DefaultGrace
	PTY    bool           // give it a terminal: stdout and stderr become one stream, Type and Resize work
	Cols   uint16         // size of the terminal; 0: 120 by 40
	Rows   uint16
	Screen func([]byte) // told what the terminal shows, before it is cut into lines; nil: nobody is
}

// Line is a line of output, or a piece of one that is very long.
type Line struct {
	At      time.Time
	Stream  string // stdout or stderr
	Text    string // any bytes, without the newline
	Partial bool   // the line goes on in the next Line of this stream
}

// Exit says how a child ended.
type Exit struct {
	Code   int            // exit code; -1 when a signal ended it
	Signal syscall.Signal // that signal, else 0
	Asked  bool           // Stop was called before it ended
	Killed bool           // it or a part of its tree had to be killed: the grace ran out, or there was no patience
	Last   []string       // its last lines of output, at most ten
	Took   time.Duration  // from start to end
	Left   []int          // processes that could not be ended: another user's, or stuck in the kernel

	grace  time.Duration // that was not enough; 0: it was killed before the grace was over
	killer killer
}

// killer is what is known of who has sent a SIGKILL that was not ours.
type killer int

const (
	unknownKiller killer = iota
	lackOfMemory         // the system has killed for lack of memory meanwhile
	somebody             // it has not
)

// Success says whether the child ended by itself with code 0.
func (e Exit) Success() bool { return e.Code == 0 && e.Signal == 0 }

// String says in words how the child ended: "exited with code 3".
func (e Exit) String() string {
	s := e.words()
	if len(e.Left) > 0 {
		s += fmt.Sprintf("; could not end process %s (another user's, or stuck in the kernel)", join(e.Left))
	}
	return s
}

func (e Exit) words() string {
	switch {
	case e.Killed && e.grace > 0:
		return fmt.Sprintf("did not stop within %v and was killed", e.grace)
	case e.Killed:
		return "was killed without waiting"
	case e.Asked && (e.Signal != 0 || e.Code == 0):
		return "stopped"
	case e.Asked:
		return fmt.Sprintf("stopped with code %d", e.Code)
	case e.Signal != 0:
		return "killed by " + e.signalWords(e.Signal)
	case e.Code == 126:
		return "exited with code 126 (the shell found the command but could not run it)"
	case e.Code == 127:
		return "exited with code 127 (the shell did not find the command)"
	case e.Code > 128 && e.Code <= 128+31:
		return fmt.Sprintf("exited with code %d (what a shell says of a program killed by %s)",
			e.Code, e.signalWords(syscall.Signal(e.Code-128)))
	}
	return fmt.Sprintf("exited with code %d", e.Code)
}

// signalWords gives the meaning of the signals that end a program by its own fault
// or the system's.
func (e Exit) signalWords(s syscall.Signal) string {
	why := map[syscall.Signal]string{
		syscall.SIGKILL: e.killer.words(),
		syscall.SIGSEGV: " (it touched memory that is not its own)",
		syscall.SIGBUS:  " (it touched memory that is not its own)",
		syscall.SIGABRT: " (it gave up by itself)",
		syscall.SIGPIPE: " (it wrote where nobody reads)",
	}
	return signalName(s) + why[s]
}

// words says what is known, and nothing when nothing is.
func (k killer) words() string {
	switch k {
	case lackOfMemory:
		return " (the system has just killed for lack of memory)"
	case somebody:
		return " (sent by another process; the system has not run out of memory)"
	case unknownKiller:
	}
	return ""
}

// killerSince tells who may have sent a SIGKILL since memoryKills gave before.
func killerSince(before uint64, told bool) killer {
	now, tells := memoryKills()
	switch {
	case !told || !tells:
		return unknownKiller
	case now > before:
		return lackOfMemory
	}
	return somebody
}

func join(pids []int) string {
	words := make([]string, 0, len(pids))
	for _, p := range slices.Sorted(slices.Values(pids)) {
		words = append(words, strconv.Itoa(p))
	}
	return strings.Join(words, ", ")
}
