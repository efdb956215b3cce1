package component

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// streams makes JetStream streams for topics: Dapr's component expects them.
func streams(t *testing.T, addr string, topics ...string) {
	t.Helper()
	conn, err := nats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if _, err := js.AddStream(&nats.StreamConfig{Name: topic, Subjects: []string{topic}}); err != nil {
			t.Fatal(err)
		}
	}
}
