package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// dependencies takes over what the service waits for.
func (c *composeFile) dependencies(a *App, s map[string]*yaml.Node) {
	words := map[string]string{"service_started": "started", "service_healthy": "ready", "service_completed_successfully": "completed"}
	var deps []Entry
	add := func(n *yaml.Node, service, condition string) {
		switch id := c.ids[service]; {
		case condition == "":
			c.fail(n, "this is no condition of depends_on", "there are service_started, service_healthy and service_completed_successfully")
		case id != "":
			deps = append(deps, Entry{Key: id, Value: condition})
		case slices.Contains(c.names, service):
			c.note(n, "%s does not wait for %s, which stays in a container", a.ID, service)
		default:
			c.fail(n, fmt.Sprintf("%s depends on %s, which is no service", a.ID, service), "")
		}
	}
	if v := follow(s["depends_on"]); !empty(v) && v.Kind == yaml.MappingNode {
		for _, p := range c.pairs(v, "depends_on") {
			condition := c.text(c.table(p.value, p.key.Value)["condition"], "condition")
			if condition == "" {
				condition = "service_started"
			}
			add(p.key, p.key.Value, words[condition])
		}
	} else {
		for _, n := range c.items(v, "depends_on") {
			add(n, c.text(n, "an entry of depends_on"), "started")
		}
	}
	if len(deps) > 0 {
		a.add("depends_on", deps, "")
	}
}

// environment takes over variables and env files.
func (c *composeFile) environment(a *App, s map[string]*yaml.Node) {
	vars := map[string]string{}
	n := follow(s["environment"])
	set := func(at *yaml.Node, name, value string) {
		vars[name] = expanding(value)
		for _, other := range c.names {
			if regexp.MustCompile(`(^|[/@,])` + regexp.QuoteMeta(other) + `(:[0-9]|/|$)`).MatchString(value) {
				c.note(at, "%s of %s names the container %s: processes find apps through their sidecars, and published ports at localhost", name, a.ID, other)
			}
		}
	}
	if !empty(n) && n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			name, value, ok := strings.Cut(c.text(item, "an entry of environment"), "=")
			if ok { // a name alone is handed on, as every variable is here
				set(item, name, value)
			}
		}
	} else {
		for _, p := range c.pairs(n, "environment") {
			if !empty(p.value) {
				set(p.key, p.key.Value, c.text(p.value, "a value of environment"))
			}
		}
	}
	delete(vars, "")
	var files []string
	list := c.listOr(s["env_file"])
	for _, item := range list {
		path := ""
		if v := follow(item); v.Kind == yaml.MappingNode {
			path = c.text(c.table(v, "env_file")["path"], "path")
		} else {
			path = c.text(item, "env_file")
		}
		file := filepath.Join(c.dir, interpolated(path))
		if filepath.IsAbs(path) {
			file = path
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			c.note(item, "env_file %s of %s does not exist", path, a.ID)
			continue
		}
		files = append(files, c.p.path(file))
	}
	if len(files) > 0 {
		a.add("env_file", files, "")
	}
	if len(vars) > 0 {
		a.add("env", vars, "")
	}
}

// listOr gives the entries of a list, or the one value that stands in its place.
func (c *composeFile) listOr(n *yaml.Node) []*yaml.Node {
	v := follow(n)
	switch {
	case empty(v):
		return nil
	case v.Kind == yaml.SequenceNode:
		return v.Content
	}
	return []*yaml.Node{n}
}

// life takes over how the service is watched and stopped.
func (c *composeFile) life(a *App, s map[string]*yaml.Node) {
	policy, _, _ := strings.Cut(c.text(s["restart"], "restart"), ":")
	if to := map[string]string{"no": "never", "false": "never", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"}[policy]; to != "" {
		a.add("restart", to, "")
	}
	if test := follow(c.table(s["healthcheck"], "healthcheck")["test"]); !empty(test) {
		words, line := c.words(test, "test")
		switch {
		case line == "" && len(words) > 1 && words[0] == "CMD-SHELL":
			line = strings.Join(words[1:], " ")
		case line == "" && len(words) > 1 && words[0] == "CMD":
			for i := range words {
				words[i] = shellWord(words[i])
			}
			line = strings.Join(words[1:], " ")
		}
		if strings.TrimSpace(line) != "" {
			a.add("ready", []Entry{{Key: "exec", Value: line}}, "the health check of the container")
		}
	}
	var stop []Entry
	if signal := c.text(s["stop_signal"], "stop_signal"); signal != "" {
		known := []string{"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH"}
		if slices.Contains(known, signal) {
			stop = append(stop, Entry{Key: "signal", Value: signal})
		} else {
			c.note(s["stop_signal"], "stop_signal %s of %s is none of %s", signal, a.ID, strings.Join(known, ", "))
		}
	}
	if grace := c.text(s["stop_grace_period"], "stop_grace_period"); grace != "" {
		if v, err := time.ParseDuration(grace); err == nil && v >= 0 {
			stop = append(stop, Entry{Key: "grace", Value: grace})
		} else {
			c.note(s["stop_grace_period"], "stop_grace_period %s of %s is no duration", grace, a.ID)
		}
	}
	if len(stop) > 0 {
		a.add("stop", stop, "")
	}
	if c.truth(s["tty"], "tty") {
		a.add("pty", true, "")
	}
	if len(c.items(s["profiles"], "profiles")) > 0 {
		a.add("instances", 0, fmt.Sprintf("has a profile: `mesh scale %s=1` starts it", a.ID))
	}
	replicas := c.text(s["scale"], "scale")
	at := s["scale"]
	if v := c.table(s["deploy"], "deploy")["replicas"]; !empty(v) {
		replicas, at = c.text(v, "replicas"), v
	}
	if replicas != "" && replicas != "0" && replicas != "1" {
		c.note(at, `%s replicas of %s: say instances = %s, with port = "auto" when it can listen on $APP_PORT`, replicas, a.ID, replicas)
	}
}
