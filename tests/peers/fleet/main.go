// Command fleet is many idle stock workers in one process: each registers, is asked for its session by the miner, sends its
// own heartbeats and a health report of one path every interval. It prints `ready` when all are registered, then, when
// standard input ends, one line of JSON: calls made, calls that failed, and the longest time that any worker went unasked.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"peers/wire"
)

var (
	minerURL = flag.String("miner", "", "the miner's RPC URL")
	token    = flag.String("token", "", "a token of the miner")
	count    = flag.Int("count", 1000, "how many workers")
	interval = flag.Duration("heartbeat", 10*time.Second, "time between heartbeats")
)

var calls, failures atomic.Int64

type idle struct {
	number  int
	session string
	info    wire.StorageInfo
	miner   *wire.Client
	lock    sync.Mutex
	asked   time.Time
	longest time.Duration
}

func (w *idle) call(method string, result any, params ...any) {
	calls.Add(1)
	if err := w.miner.Call(context.Background(), method, result, params...); err != nil {
		failures.Add(1)
		fmt.Fprintf(os.Stderr, "worker %d: %s: %v\n", w.number, method, err)
	}
}

func (w *idle) sessionAsked() {
	w.lock.Lock()
	defer w.lock.Unlock()
	now := time.Now()
	if !w.asked.IsZero() {
		w.longest = max(w.longest, now.Sub(w.asked))
	}
	w.asked = now
}

func (w *idle) serve() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := "http://" + listener.Addr().String()
	say := func(answer any) wire.Method {
		return func(context.Context, []json.RawMessage) (any, error) { return answer, nil }
	}
	info := wire.WorkerInfo{Hostname: fmt.Sprintf("idle-%d", w.number), Resources: wire.WorkerResources{
		MemPhysical: 256 << 30, CPUs: 64, GPUs: []string{},
	}}
	server := &wire.Server{
		Methods: map[string]wire.Method{
			"Version": say(wire.WorkerAPI), "Info": say(info), "Enabled": say(true),
			"TaskTypes": say(map[string]struct{}{"seal/v0/precommit/1": {}, "seal/v0/fetch": {}}),
			"Paths":     say([]wire.StoragePath{{ID: w.info.ID, Weight: 10, LocalPath: "/none", CanSeal: true}}),
			"Session": func(context.Context, []json.RawMessage) (any, error) {
				w.sessionAsked()
				return w.session, nil
			},
		},
		Verify: func(text string) ([]string, error) {
			var perms []string
			calls.Add(1)
			return perms, w.miner.Call(context.Background(), "AuthVerify", &perms, text)
		},
	}
	go func() { _ = http.Serve(listener, server) }()
	return address, nil
}

func (w *idle) start() error {
	address, err := w.serve()
	if err != nil {
		return err
	}
	w.info.URLs = []string{address + "/remote"}
	stat := wire.FsStat{Capacity: 1 << 40, Available: 1 << 39, FSAvailable: 1 << 39}
	w.call("StorageAttach", nil, w.info, stat)
	w.call("WorkerConnect", nil, address+"/rpc/v0")
	go func() {
		for range time.Tick(*interval) {
			var session string
			w.call("Session", &session)
			w.call("StorageReportHealth", nil, w.info.ID, wire.HealthReport{Stat: stat})
		}
	}()
	return nil
}

func main() {
	flag.Parse()
	fleet := make([]*idle, *count)
	client := wire.NewClient(*minerURL, *token)
	for i := range fleet {
		fleet[i] = &idle{number: i, session: wire.UUID(), miner: client, info: wire.StorageInfo{ID: wire.UUID(), Weight: 10, CanSeal: true}}
		if err := fleet[i].start(); err != nil {
			fmt.Fprintln(os.Stderr, "ERROR:", err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	begun := calls.Load()
	_, _ = io.Copy(io.Discard, os.Stdin)
	longest := time.Duration(0)
	for _, w := range fleet {
		w.lock.Lock()
		longest = max(longest, w.longest, time.Since(w.asked))
		w.lock.Unlock()
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"calls": calls.Load() - begun, "failures": failures.Load(), "longest_unasked_seconds": longest.Seconds(),
	})
}
