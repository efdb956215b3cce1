package component

import (
	"slices"
	"strings"
)

// MayPublish says whether the broker's declaration lets the app publish to a
// topic: by publishingScopes, allowedTopics and protectedTopics.
func (p *PubSub) MayPublish(topic string) (bool, error) { return p.may("publishingScopes", topic) }

// MaySubscribe says whether the broker's declaration lets the app receive a
// topic: by subscriptionScopes, allowedTopics and protectedTopics.
func (p *PubSub) MaySubscribe(topic string) (bool, error) { return p.may("subscriptionScopes", topic) }

func (p *PubSub) may(scopes, topic string) (bool, error) {
	declared := map[string]string{}
	for _, name := range []string{scopes, "allowedTopics", "protectedTopics"} {
		value, err := p.app.Metadata(KindPubSub, p.name, name)
		if err != nil {
			return false, err
		}
		declared[name] = value
	}
	mine, scoped := scopeOf(declared[scopes], p.app.id)
	if allowed := list(declared["allowedTopics"]); len(allowed) > 0 && !slices.Contains(allowed, topic) {
		return false, nil
	}
	if slices.Contains(list(declared["protectedTopics"]), topic) {
		return slices.Contains(mine, topic), nil
	}
	return !scoped || slices.Contains(mine, topic), nil
}

// scopeOf reads "app1=topic1,topic2;app2=": the topics of an app, and whether
// the app is named at all.
func scopeOf(scopes, app string) (topics []string, named bool) {
	for one := range strings.SplitSeq(scopes, ";") {
		id, names, ok := strings.Cut(one, "=")
		if ok && strings.TrimSpace(id) == app {
			return list(names), true
		}
	}
	return nil, false
}

func list(text string) (all []string) {
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}
