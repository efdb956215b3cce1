package supervisor

import (
	"crypto/rand"

	"mesh/supervisor/config"
)

// tokens are what the sidecar and its app show each other; "": nothing.
type tokens struct {
	api string // the app to the sidecar
	app string // the sidecar to the app
}

func (u *unit) tokens(d *desired) tokens {
	return tokens{api: u.s.token("", d.mesh.APIToken), app: u.s.token("app "+u.app, d.app.AppToken)}
}

// Token gives the token that the sidecars' APIs want to see; "": none.
func (s *Supervisor) Token() string { return *s.apiToken.Load() }

// useToken makes the token of a configuration the one that Token gives.
func (s *Supervisor) useToken(m *config.Mesh) {
	t := s.token("", m.APIToken)
	s.apiToken.Store(&t)
}

// token gives the token that the file says; "auto" is a new one for each run
// and purpose.
func (s *Supervisor) token(purpose, says string) string {
	if says != "auto" {
		return says
	}
	t, _ := s.tokens.LoadOrStore(purpose, rand.Text())
	text, _ := t.(string)
	return text
}
