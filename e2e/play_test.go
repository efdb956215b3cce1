package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// play is what the test binary does when mesh starts it as an app. A role is a
// word, or several joined by "+".
func play(roles string) int {
	for role := range strings.SplitSeq(roles, "+") {
		switch role {
		case "outbound": // the sidecar must answer before the app is started
			code, _, err := get(context.Background(), "http://127.0.0.1:"+os.Getenv("DAPR_HTTP_PORT")+"/v1.0/healthz/outbound")
			if err != nil || code != http.StatusNoContent {
				fmt.Println("outbound:", code, err)
				return 3
			}
		case "crash":
			fmt.Println("about to fail")
			return 7
		case "task":
			fmt.Println("task done")
			return 0
		case "fetch": // GET a URL and print what comes
			code, body, err := get(context.Background(), os.Getenv("URL"))
			fmt.Println(code, body, err)
			return 0
		case "metadata": // ask the sidecar at ADDR for its app id, by gRPC
			return askMetadata()
		case "consul":
			return consulStandIn()
		case "deaf":
			signal.Ignore(syscall.SIGTERM)
		case "family": // a child, and a grandchild in a session of its own
			record(os.Getpid())
			for _, setsid := range []bool{false, true} {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "E2E_ROLE=deaf+wait")
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
				if err := cmd.Start(); err != nil {
					fmt.Println(err)
					return 1
				}
				record(cmd.Process.Pid)
			}
		case "long": // one line of 300,000 bytes
			fmt.Println(strings.Repeat("x", 300_000) + "end")
		case "wait":
			wait()
			return 0
		case "repl":
			return repl()
		case "server":
			return serve()
		case "grpc":
			return serveGRPC()
		case "sdk":
			return sdk()
		case "subscriber":
			return subscribe()
		case "late": // listens after a moment
			<-time.After(300 * time.Millisecond)
		}
	}
	wait()
	return 0
}

// repl answers lines of its terminal, as interpreters do.
func repl() int {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	lines := make(chan string)
	go func() {
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	for {
		fmt.Print("ask> ")
		select {
		case <-interrupts:
			fmt.Println("interrupted")
		case line, ok := <-lines:
			switch {
			case !ok, line == "exit":
				fmt.Println("bye")
				return 0
			case line == "size":
				rows, cols, err := pty.Getsize(os.Stdin)
				fmt.Println("it is", cols, "by", rows, err)
			default:
				fmt.Println("you say", line)
			}
		}
	}
}

func record(pid int) {
	f, err := os.OpenFile("pids", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		fmt.Fprintln(f, pid)
		f.Close()
	}
}

func wait() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	if len(os.Getenv("E2E_ROLE")) > 0 && strings.Contains(os.Getenv("E2E_ROLE"), "deaf") {
		signal.Reset(syscall.SIGTERM)
		signal.Ignore(syscall.SIGTERM)
	}
	<-c
}

// serve is an app over HTTP.
func serve() int {
	mux := http.NewServeMux()
	mux.HandleFunc("/who", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s %s %d", os.Getenv("MESH_INSTANCE"), os.Getenv("COLOR"), os.Getpid())
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/see", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-App", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Test"))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { // answers while it is asked
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
			if err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var tries atomic.Int32
	mux.HandleFunc("/thirdtime", func(w http.ResponseWriter, _ *http.Request) { // fails twice, then works
		if n := tries.Add(1); n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, tries.Swap(0))
	})
	mux.HandleFunc("/ticks", func(w http.ResponseWriter, r *http.Request) { // a line every 20 ms, for ever or n times
		end, _ := strconv.Atoi(r.URL.Query().Get("n"))
		rc := http.NewResponseController(w)
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for i := 0; end == 0 || i < end; i++ {
			if _, err := fmt.Fprintf(w, "tick %d\n", i); err != nil || rc.Flush() != nil {
				fmt.Println("caller gone")
				return
			}
			select {
			case <-t.C:
			case <-r.Context().Done():
				fmt.Println("caller gone")
				return
			}
		}
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	mux.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(9) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { // well unless there is a file named unwell
		if _, err := os.Stat("unwell"); err == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ln, err := net.Listen("tcp", cmp.Or(os.Getenv("APP_HOST"), "127.0.0.1")+":"+os.Getenv("APP_PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	srv := &http.Server{Handler: mux}
	go func() {
		wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		os.Exit(0)
	}()
	fmt.Println("serving on", ln.Addr())
	_ = srv.Serve(ln)
	select {}
}

// subscribe is an app that says which messages it gets.
func subscribe() int {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"pubsubname":"pubsub","topic":"programmatic","route":"/asked"}]`)
	})
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		var event struct {
			Topic string
			Data  map[string]any
		}
		_ = json.NewDecoder(r.Body).Decode(&event)
		fmt.Printf("got %s on %s: %q\n", event.Topic, r.URL.Path, event.Data["n"])
	})
	go func() {
		wait()
		os.Exit(0)
	}()
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), mux))
	return 1
}

// askMetadata prints the app id that the sidecar at ADDR says by gRPC.
func askMetadata() int {
	conn, err := grpc.NewClient("passthrough:///"+os.Getenv("ADDR"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := runtimev1.NewDaprClient(conn).GetMetadata(ctx, &runtimev1.GetMetadataRequest{}, grpc.WaitForReady(true))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(m.GetId())
	return 0
}
