package names

import (
	"os"
	"strings"
)

// Expand gives a configuration as YAML or TOML has it with every ${NAME} in its
// texts replaced by what variable says, and ${NAME:-standard} by the standard
// where that is nothing. The configuration itself stays as it is.
func Expand(config any, variable func(name string) string) any {
	switch c := config.(type) {
	case string:
		return os.Expand(c, func(name string) string {
			name, standard, _ := strings.Cut(name, ":-")
			if v := variable(name); v != "" {
				return v
			}
			return standard
		})
	case []any:
		all := make([]any, len(c))
		for i, v := range c {
			all[i] = Expand(v, variable)
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(c))
		for k, v := range c {
			all[k] = Expand(v, variable)
		}
		return all
	case map[any]any:
		all := make(map[any]any, len(c))
		for k, v := range c {
			all[k] = Expand(v, variable)
		}
		return all
	}
	return config
}
