package servertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Redis starts a Redis that writes everything to disk before it answers.
func Redis(tb testing.TB) *Server {
	tb.Helper()
	path, port, dir := find(tb, "redis-server", "redis-server"), FreePort(tb), folder(tb, "")
	return run(tb, &Server{
		name: "redis", Port: port, dir: dir,
		argv: []string{path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"},
	})
}

// NATS starts a NATS server with JetStream.
func NATS(tb testing.TB) *Server {
	tb.Helper()
	path, port, dir := find(tb, "nats-server", "nats-server", "/usr/sbin/nats-server"), FreePort(tb), folder(tb, "")
	return run(tb, &Server{
		name: "nats", Port: port, dir: dir,
		argv: []string{path, "-a", "127.0.0.1", "-p", strconv.Itoa(port), "-js", "-sd", dir},
	})
}

// JetStreams makes streams of a NATS server for topics: Dapr's component expects
// them.
func JetStreams(tb testing.TB, s *Server, topics ...string) {
	tb.Helper()
	conn, err := nats.Connect("nats://" + s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		tb.Fatal(err)
	}
	for _, topic := range topics {
		if _, err := js.AddStream(&nats.StreamConfig{Name: topic, Subjects: []string{topic}, Storage: nats.FileStorage}); err != nil {
			tb.Fatal(err)
		}
	}
}

// Mosquitto starts an MQTT broker that keeps messages on disk.
func Mosquitto(tb testing.TB) *Server {
	tb.Helper()
	path, port, dir := find(tb, "mosquitto", "mosquitto", "/usr/sbin/mosquitto"), FreePort(tb), folder(tb, "")
	conf := file(tb, dir, "mosquitto.conf",
		fmt.Sprintf("listener %d 127.0.0.1", port), "allow_anonymous true", "user root",
		"persistence true", "persistence_location "+dir+"/", "autosave_interval 1", "autosave_on_changes true", "max_queued_messages 0")
	return run(tb, &Server{name: "mosquitto", Port: port, dir: dir, argv: []string{path, "-c", conf}})
}

// RabbitMQ starts a RabbitMQ, and the port mapper of Erlang beside it.
func RabbitMQ(tb testing.TB) *Server {
	tb.Helper()
	path := find(tb, "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
	mapper := find(tb, "erlang-base", "epmd")
	port, dir := FreePort(tb), folder(tb, "")
	epmd := strconv.Itoa(FreePort(tb))
	env := []string{
		"HOME=" + dir,
		"ERL_EPMD_PORT=" + epmd,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=mesh-" + strconv.Itoa(port) + "@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(FreePort(tb)),
		"RABBITMQ_MNESIA_BASE=" + dir,
		"RABBITMQ_LOG_BASE=" + dir,
		"RABBITMQ_CONF_ENV_FILE=" + file(tb, dir, "env.conf"),
		"RABBITMQ_CONFIG_FILE=" + file(tb, dir, "rabbitmq.conf", "loopback_users = none"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + file(tb, dir, "plugins", "[]."),
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
	}
	mapperDir := folder(tb, "")
	number, _ := strconv.Atoi(epmd)
	run(tb, &Server{name: "epmd", Port: number, dir: mapperDir, argv: []string{mapper, "-port", epmd, "-address", "127.0.0.1"}})
	return run(tb, &Server{
		name: "rabbitmq", Port: port, dir: dir, argv: []string{path}, env: env,
		answers: func(ctx context.Context) error { return greets(ctx, port) },
	})
}

// greets asks for AMQP 0-9-1 and waits for the first byte of a method frame. That
// something accepts connections says too little while RabbitMQ starts.
func greets(ctx context.Context, port int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	if first[0] != 1 {
		return fmt.Errorf("port %d answers, but not with AMQP", port)
	}
	return nil
}

// Postgres starts a PostgreSQL with a user and a database named mesh, which
// need no password.
func Postgres(tb testing.TB) *Server {
	tb.Helper()
	const user = "postgres" // it refuses to run as root
	initdb := find(tb, "postgresql", "initdb", "/usr/lib/postgresql/*/bin/initdb")
	path := find(tb, "postgresql", "postgres", "/usr/lib/postgresql/*/bin/postgres")
	client := find(tb, "postgresql", "psql", "/usr/lib/postgresql/*/bin/psql")
	port, dir := FreePort(tb), folder(tb, user)
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(tb.Context(), initdb, "-D", data, "-U", "mesh", "--auth=trust", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = attributes()
	if os.Getuid() == 0 {
		c, err := credential(user)
		if err != nil {
			tb.Fatal(err)
		}
		cmd.SysProcAttr.Credential = c
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("making a database: %v\n%s", err, out)
	}
	ask := func(ctx context.Context, database, question string) error {
		args := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "mesh", "-d", database, "-c", question}
		out, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	s := run(tb, &Server{
		name: "postgres", Port: port, dir: dir, user: user,
		argv:    []string{path, "-D", data, "-p", strconv.Itoa(port), "-k", dir, "-h", "127.0.0.1"},
		answers: func(ctx context.Context) error { return ask(ctx, "postgres", "select 1") },
	})
	if err := ask(tb.Context(), "postgres", "create database mesh"); err != nil {
		tb.Fatal(err)
	}
	s.sql = func(ctx context.Context, statements string) error { return ask(ctx, "mesh", statements) }
	return s
}
