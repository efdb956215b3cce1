//go:build !race

package component

import (
	"testing"

	"mesh/runtime/component/servertest"
)

// TestMQTT runs without the race detector: when contrib's MQTT client connects,
// its own goroutines race with each other.
func TestMQTT(t *testing.T) {
	s := servertest.Mosquitto(t)
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.mqtt3", "url", "mqtt://"+s.Addr, "qos", "1", "cleanSession", "false"))
	app, other := l.App("app").PubSub("pubsub"), l.App("other").PubSub("pubsub")
	var in, too inbox
	subscribe(t, app, "orders", in.handle)
	subscribe(t, other, "orders", too.handle)
	publish(t, app, "orders", "1")
	publish(t, other, "orders", "2")
	in.has(t, "1", "2")
	too.has(t, "1", "2")
}
