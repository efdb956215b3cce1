package servertest

import (
	"net"
	"testing"
)

// TestServers: each server answers, ends, and comes back on its port.
func TestServers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *Server{
		"redis": Redis, "nats": NATS, "mosquitto": Mosquitto, "rabbitmq": RabbitMQ, "postgres": Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			dial := func() error {
				var d net.Dialer
				conn, err := d.DialContext(t.Context(), "tcp", s.Addr)
				if err == nil {
					return conn.Close()
				}
				return err
			}
			if err := dial(); err != nil {
				t.Error(err)
			}
			s.Kill(t)
			if dial() == nil {
				t.Error("it still listens after it was killed")
			}
			s.Start(t)
			if err := dial(); err != nil {
				t.Error(err)
			}
			s.Stop(t)
			if dial() == nil {
				t.Error("it still listens after it was stopped")
			}
		})
	}
}
