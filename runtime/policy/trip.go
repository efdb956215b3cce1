package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
)

// ParseTrip turns Dapr's trip expression, such as "consecutiveFailures > 5",
// into a rule. It is CEL over the counters requests, totalSuccesses,
// totalFailures, consecutiveSuccesses and consecutiveFailures.
func ParseTrip(expr string) (func(Counts) bool, error) {
	names := []string{"requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures"}
	var opts []cel.EnvOption
	for _, n := range names {
		opts = append(opts, cel.Variable(n, cel.IntType))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("preparing for the trip expression: %w", err)
	}
	ast, issues := env.Compile(expr)
	if issues != nil && issues.Err() != nil {
		return nil, fmt.Errorf("compiling the trip expression %q: %w", expr, issues.Err())
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("compiling the trip expression %q: %w", expr, errors.New("it must be true or false"))
	}
	program, err := env.Program(ast)
	if err != nil {
		return nil, fmt.Errorf("compiling the trip expression %q: %w", expr, err)
	}
	return func(c Counts) bool {
		out, _, err := program.Eval(map[string]any{
			"requests": int64(c.Requests), "totalSuccesses": int64(c.TotalSuccesses), "totalFailures": int64(c.TotalFailures),
			"consecutiveSuccesses": int64(c.ConsecutiveSuccesses), "consecutiveFailures": int64(c.ConsecutiveFailures),
		})
		if err != nil {
			return false // an expression over five numbers fails only by dividing by zero
		}
		open, _ := out.Value().(bool)
		return open
	}, nil
}

// Codes is a set of HTTP statuses or gRPC codes as Dapr writes it: "429,500-599".
type Codes []struct{ From, To int }

// ParseCodes reads such a set.
func ParseCodes(text string) (Codes, error) {
	var codes Codes
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		var from, to int
		if n, err := fmt.Sscanf(part, "%d-%d", &from, &to); err != nil || n != 2 {
			if _, err := fmt.Sscanf(part, "%d", &from); err != nil {
				return nil, fmt.Errorf("reading the codes %q: %q is neither a number nor a range such as 500-599", text, part)
			}
			to = from
		}
		if from > to {
			return nil, fmt.Errorf("reading the codes %q: %q runs backwards", text, part)
		}
		codes = append(codes, struct{ From, To int }{from, to})
	}
	return codes, nil
}

// Has says whether the set contains a code.
func (c Codes) Has(code int) bool {
	for _, r := range c {
		if r.From <= code && code <= r.To {
			return true
		}
	}
	return false
}
