package state

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Fault is a disturbance of calls that is made on purpose.
type Fault struct {
	Name      string        `json:"name"`
	Target    string        `json:"target"`              // the app whose calls are disturbed; "": every app
	Delay     time.Duration `json:"delay,omitempty"`     // before a call goes on
	Rate      float64       `json:"rate,omitempty"`      // share of the calls that are hit; 0: all
	Abort     int           `json:"abort,omitempty"`     // HTTP status that is answered instead of a call
	Bandwidth int64         `json:"bandwidth,omitempty"` // bytes per second of the request and of the reply
	CutAfter  int64         `json:"cut_after,omitempty"` // bytes of the reply after which it breaks off
	On        bool          `json:"on"`
	Hand      bool          `json:"hand,omitempty"` // made by a command, not in mesh.toml: gone once it is off
}

// String says what the fault does, in the words that ParseFault reads.
func (f *Fault) String() string {
	var parts []string
	add := func(there bool, format string, v any) {
		if there {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	add(f.Delay > 0, "delay=%v", f.Delay)
	add(f.Abort > 0, "abort=%d", f.Abort)
	add(f.Bandwidth > 0, "bandwidth=%d", f.Bandwidth)
	add(f.CutAfter > 0, "cut_after=%d", f.CutAfter)
	add(f.Rate > 0 && f.Rate < 1, "rate=%g", f.Rate)
	return strings.Join(parts, " ")
}

// faultUse is how a fault is written.
const faultUse = "write on, off, or what it does: delay=200ms abort=503 bandwidth=64k cut_after=10k rate=0.2"

// ParseFault reads what stands after a name: on, off, or what a fault does, as in
// "delay=200ms rate=0.2". The name is that of a fault or of an app; with what it
// does, it is an app and the fault is made by hand. Without words it means on.
func ParseFault(name string, words []string) (Command, error) {
	c := Command{Op: SetFault, Name: name, On: true}
	if name == "" {
		return c, fmt.Errorf("a fault needs the name of an app, or one of mesh.toml; then %s", faultUse)
	}
	if len(words) == 0 {
		return c, nil
	}
	if len(words) == 1 && (words[0] == "on" || words[0] == "off") {
		c.On = words[0] == "on"
		return c, nil
	}
	f := &Fault{Name: name, Target: name, Hand: true, On: true}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return c, fmt.Errorf("%q is not part of a fault; %s", w, faultUse)
		}
		if err := f.set(key, value); err != nil {
			return c, err
		}
	}
	c.Fault = f
	return c, f.Check()
}

func (f *Fault) set(key, value string) (err error) {
	switch key {
	case "delay":
		f.Delay, err = time.ParseDuration(value)
	case "abort", "status":
		f.Abort, err = strconv.Atoi(value)
	case "rate":
		f.Rate, err = strconv.ParseFloat(value, 64)
		if err == nil && f.Rate == 0 {
			return errors.New("rate=0 would hit no call; it is a share above 0, up to 1")
		}
	case "bandwidth":
		f.Bandwidth, err = parseBytes(value)
	case "cut_after", "cut":
		f.CutAfter, err = parseBytes(value)
	default:
		return fmt.Errorf("a fault has no %q; %s", key, faultUse)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

// Check says what is wrong with a fault.
func (f *Fault) Check() error {
	switch {
	case f.Delay < 0 || f.Bandwidth < 0 || f.CutAfter < 0:
		return errors.New("a fault takes no numbers below 0")
	case f.Delay == 0 && f.Abort == 0 && f.Bandwidth == 0 && f.CutAfter == 0:
		return fmt.Errorf("the fault does nothing; %s", faultUse)
	case f.Abort != 0 && (f.Abort < 400 || f.Abort > 599):
		return fmt.Errorf("abort=%d: it is an HTTP status from 400 to 599", f.Abort)
	case math.IsNaN(f.Rate) || f.Rate < 0 || f.Rate > 1:
		return fmt.Errorf("rate=%g: it is a share of the calls, above 0 and up to 1", f.Rate)
	}
	return nil
}

// parseBytes reads a number of bytes such as 65536, 64k or 1MiB; units count
// in 1024.
func parseBytes(s string) (int64, error) {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s), "b"), "i")
	unit := int64(1)
	for i, u := range []string{"k", "m", "g"} {
		if n, ok := strings.CutSuffix(number, u); ok {
			number, unit = n, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, errors.New("it is no number of bytes such as 65536, 64k or 1m")
	}
	return n * unit, nil
}
