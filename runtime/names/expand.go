package names

import "os"

// Expand gives a configuration as YAML has it with every ${NAME} in its texts
// replaced by what variable says. The configuration itself stays as it is.
func Expand(config any, variable func(name string) string) any {
	switch c := config.(type) {
	case string:
		return os.Expand(c, variable)
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
