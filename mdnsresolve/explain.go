package mdnsresolve

import (
	"fmt"
	"strings"
)

// Explain says in sentences what is known about finding an app, for a person
// who wonders why it is, or is not, found. It asks nobody; call Resolve first.
func (r *Responder) Explain(appID string) []string {
	if _, err := serviceName(appID); err != nil {
		return []string{err.Error()}
	}
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	found := r.Known(appID)
	for _, a := range found {
		say("%s is at %v", appID, a)
	}
	for _, p := range r.Peers() {
		switch {
		case p.AppID == appID && p.Own:
			say("this process announces %s itself, at %v", appID, p.Addr)
		case p.AppID == appID && p.Trouble != "":
			say("%s of %s, heard on %s from %v, is not used: %s", p.Instance, appID, p.Link, p.Source, p.Trouble)
		case p.AppID != appID && strings.EqualFold(p.AppID, appID):
			say("%s is announced, and app ids differ by upper and lower case", p.AppID)
		}
	}
	if len(found) > 0 {
		return said
	}
	s := r.Stats()
	r.moving.Lock()
	mode := r.mode
	r.moving.Unlock()
	switch {
	case len(s.Links) == 0:
		say("no interface is in use, so nobody can be asked: the one that is wished for (%s) is down or has no IPv4 address", mode)
	case s.Sent == 0 && s.Unsent > 0:
		say("no packet could be sent on %s: %d attempts were refused by the system; a firewall may block UDP port %d", strings.Join(s.Links, ", "), s.Unsent, mdnsPort)
	case s.Responses == 0 && s.Questions == 0:
		say("nothing at all has been heard on %s, not even what we say ourselves; a firewall may block UDP port %d", strings.Join(s.Links, ", "), mdnsPort)
	default:
		say("nobody on %s announces %s; %d announcements and answers have been heard there", strings.Join(s.Links, ", "), appID, s.Responses)
	}
	if mode == loopback {
		say("only this host is asked; to find sidecars of other hosts, set the mDNS interface to %q or to an interface's name", all)
	}
	if s.Foreign > 0 {
		say("packets not listened to, since they came from outside the interfaces in use: %d", s.Foreign)
	}
	return said
}
