package control

import (
	"runtime"
	"runtime/debug"
)

// Version is what a running mesh says of itself.
type Version struct {
	API   int `json:"api"` // version of the protocol
	PID   int `json:"pid"`
	Build     // of the running program
}

// Build says which program this is.
type Build struct {
	Version  string `json:"version"`            // release, or "devel"
	Revision string `json:"revision,omitempty"` // commit it was built from
	Modified bool   `json:"modified,omitempty"` // built with changes on top of the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// ThisBuild describes the running program.
func ThisBuild() Build {
	b := Build{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
