package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// word is one message to the helper, as a line of JSON.
type word struct {
	Add  *tree  `json:"add,omitempty"`
	Drop *tree  `json:"drop,omitempty"`
	Seen []seen `json:"seen,omitempty"` // members that may leave their tree
	Bye  bool   `json:"bye,omitempty"`
}

type seen struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// helper is our side of a guardian process.
type helper struct {
	process *os.Process
	pipe    *os.File // to it
	report  *os.File // from it: one word when it is there
}

func (h *helper) pid() int { return h.process.Pid }

func (h *helper) tell(w word) {
	line, err := json.Marshal(w)
	if err == nil {
		_ = h.pipe.SetWriteDeadline(time.Now().Add(wordWithin))
		_, err = h.pipe.Write(append(line, '\n'))
	}
	if err != nil {
		// Killed first: when the pipe closes on a living one, it acts.
		_ = h.process.Kill()
	}
}

func (h *helper) hangUp() { h.pipe.Close() }

// hello waits until it reports, and kills it when it does not.
func (h *helper) hello() error {
	defer h.report.Close()
	_ = h.report.SetReadDeadline(time.Now().Add(helloWithin))
	word := make([]byte, len(helperHello))
	if n, err := h.report.Read(word); err != nil || string(word[:n]) != helperHello {
		_ = h.process.Kill()
		return errors.New("the guardian did not report: does main call proc.GuardianMain for proc.GuardianArg?")
	}
	return nil
}

func (h *helper) wait() {
	_, _ = h.process.Wait()
	h.pipe.Close()
}

// startHelper runs this program again. The new process is born with the
// knowledge of the run and finds what else it has to know in the pipe, so there
// is no need to wait for it: even if we die at once, it will act.
func startHelper(run string, watched ident) (*helper, error) {
	exe, err := self()
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	hear, say, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		hear.Close()
		say.Close()
		return nil, err
	}
	defer null.Close()
	p, err := os.StartProcess(exe, []string{helperName, GuardianArg}, &os.ProcAttr{
		Dir: "/", // so that it does not keep the project's folder busy
		Env: []string{
			fmt.Sprintf("%s=%s %d", helperEnv, run, watched.start),
			"GOMAXPROCS=1", "GOGC=20",
			"GORACE=atexit_sleep_ms=0", // built with the race detector, it would take a second to exit
		},
		Files: []*os.File{theirs, say, null},
		Sys:   helperAttributes(),
	})
	say.Close()
	if err != nil {
		ours.Close()
		hear.Close()
		return nil, err
	}
	return &helper{process: p, pipe: ours, report: hear}, nil
}
