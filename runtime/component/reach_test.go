package component

import (
	"slices"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []string
	}{
		{"nats://user:pw@broker:4223", []string{"broker:4223"}},
		{"nats://a, nats://b:1", []string{"a:9", "b:1"}},
		{"amqp://guest:guest@[::1]/vhost", []string{"[::1]:9"}},
		{"kafka-1:9092,kafka-2:9093", []string{"kafka-1:9092", "kafka-2:9093"}},
		{"localhost", []string{"localhost:9"}},
		{"host=db user=me password='a b' port=5433 dbname=x", []string{"db:5433"}},
		{"user=me host='db'", []string{"db:9"}},
		{"postgres://me@db/x?sslmode=disable", []string{"db:9"}},
		{"host=/var/run/postgresql user=me", nil},
		{"user=me dbname=x", nil},
		{"", nil},
	} {
		if got := addresses(c.value, "9"); !slices.Equal(got, c.want) {
			t.Errorf("%q has %v, want %v", c.value, got, c.want)
		}
	}
}
