// Command stockworker behaves as Lotus's lotus-worker does towards its miner: the same calls in the same order
// (lotus-wire 3.1), heartbeats, a token check at the miner for every request, Go's own HTTP file server and tar writer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"peers/wire"
)

var (
	minerURL  = flag.String("miner", "", "the miner's RPC URL")
	token     = flag.String("token", "", "a token of the miner")
	repo      = flag.String("repo", "", "folder of this worker")
	hostname  = flag.String("name", "stock", "host name that it tells")
	workTime  = flag.Duration("work", 50*time.Millisecond, "how long each task takes")
	heartbeat = flag.Duration("heartbeat", 10*time.Second, "time between heartbeats")
	version   = flag.Int("api", wire.WorkerAPI, "worker API version that it tells")
	callback  = flag.String("callback", "", "URL to register, in place of its own")
	empty     = flag.Bool("no-capacity", false, "tell a path of no capacity at all")
	memory    = flag.Uint64("memory", 256<<30, "MemPhysical that it tells")
)

var taskTypes = []string{
	"seal/v0/addpiece", "seal/v0/commit/1", "seal/v0/commit/2", "seal/v0/datacid", "seal/v0/fetch", "seal/v0/finalize",
	"seal/v0/finalize/replicaupdate", "seal/v0/finalizeunsealed", "seal/v0/precommit/1", "seal/v0/precommit/2",
	"seal/v0/provereplicaupdate/1", "seal/v0/unseal",
}

type worker struct {
	miner   *wire.Client
	store   *wire.Store
	session string
	jobs    sync.WaitGroup
}

func main() {
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(context.Background()); err != nil {
		log.Fatalf("ERROR: %v", err)
	}
}

func run(ctx context.Context) error {
	w := &worker{miner: wire.NewClient(*minerURL, *token), session: wire.UUID()}
	var about wire.APIVersion
	for w.miner.Call(ctx, "Version", &about) != nil {
		time.Sleep(time.Second)
	}
	if err := w.miner.Call(ctx, "Version", &about); err != nil {
		return err
	}
	if about.APIVersion != wire.MinerAPI {
		return fmt.Errorf("lotus-miner API version doesn't match: %d", about.APIVersion)
	}
	var actor string
	if err := w.miner.Call(ctx, "ActorAddress", &actor); err != nil {
		return err
	}
	var size uint64
	if err := w.miner.Call(ctx, "ActorSectorSize", &size, actor); err != nil {
		return err
	}
	if size != 2048 {
		return fmt.Errorf("this stand-in seals 2 KiB only, not %d", size)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := "http://" + listener.Addr().String()
	if w.store, err = wire.OpenStore(*repo, address+"/remote", w.miner, false); err != nil {
		return err
	}
	w.store.Empty = *empty
	if err := w.store.Declare(ctx); err != nil {
		return err
	}
	go w.reportHealth(ctx)
	go w.returnLeftovers(ctx)
	server := &wire.Server{Methods: w.methods(), Verify: w.verify}
	mux := http.NewServeMux()
	mux.Handle("/rpc/v0", server)
	mux.HandleFunc("/remote/", server.Guard(w.store.ServeHTTP))
	go func() { log.Fatal((&http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second}).Serve(listener)) }()
	if *callback != "" {
		address = *callback
	}
	return w.register(ctx, address+"/rpc/v0")
}

func (w *worker) verify(token string) ([]string, error) {
	var perms []string
	return perms, w.miner.Call(context.Background(), "AuthVerify", &perms, token)
}

func (w *worker) reportHealth(ctx context.Context) {
	for range time.Tick(*heartbeat) {
		report := wire.HealthReport{Stat: w.store.Stat()}
		if err := w.miner.Call(ctx, "StorageReportHealth", nil, w.store.Info.ID, report); err != nil {
			log.Printf("error reporting path health: %v", err)
		}
	}
}

// register and stay so (lotus-wire 3.5).
func (w *worker) register(ctx context.Context, url string) error {
	var known, session string
	if err := w.miner.Call(ctx, "Session", &known); err != nil {
		return err
	}
	ready, redeclare := true, false
	for {
		if err := w.miner.Call(ctx, "Session", &session); err != nil {
			log.Printf("heartbeat: checking remote session failed: %v", err)
		} else {
			if session != known {
				log.Print("LOTUS-MINER CONNECTION LOST")
				known, ready, redeclare = session, true, true
			}
			if redeclare {
				if err := w.store.Declare(ctx); err != nil {
					log.Printf("redeclaring failed: %v", err)
					time.Sleep(*heartbeat)
					continue
				}
				redeclare = false
			}
			if ready {
				w.jobs.Wait()
				if err := w.miner.Call(ctx, "WorkerConnect", nil, url); err != nil {
					return fmt.Errorf("registering worker failed: %w", err)
				}
				log.Print("Worker registered successfully, waiting for tasks")
				ready = false
			}
		}
		time.Sleep(*heartbeat)
	}
}

func (w *worker) info() wire.WorkerInfo {
	table := map[string]map[string]wire.Resources{}
	for _, task := range taskTypes {
		table[task] = map[string]wire.Resources{"5": {MinMemory: 2048, MaxMemory: 2048, BaseMinMemory: 2048, MaxParallelism: 1}}
	}
	return wire.WorkerInfo{Hostname: *hostname, Resources: wire.WorkerResources{
		MemPhysical: *memory, MemUsed: 1 << 30, CPUs: 64, GPUs: []string{}, Resources: table,
	}}
}

func (w *worker) methods() map[string]wire.Method {
	say := func(answer func() any) wire.Method {
		return func(context.Context, []json.RawMessage) (any, error) { return answer(), nil }
	}
	types := map[string]struct{}{}
	for _, task := range taskTypes {
		types[task] = struct{}{}
	}
	return map[string]wire.Method{
		"Version":   say(func() any { return *version }),
		"Session":   say(func() any { return w.session }),
		"Enabled":   say(func() any { return true }),
		"Info":      say(func() any { return w.info() }),
		"TaskTypes": say(func() any { return types }),
		"Paths":     func(ctx context.Context, _ []json.RawMessage) (any, error) { return w.paths(ctx) },
		"AddPiece": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var existing []uint64
			var size uint64
			var data wire.ReaderStream
			if err := wire.Take(p, &ref, &existing, &size, &data); err != nil {
				return nil, err
			}
			return w.job("AddPiece", ref, wire.PieceInfo{}, func(ctx context.Context) (any, error) {
				if data.Type != "null" || size != 2032 || len(existing) != 0 {
					return wire.PieceInfo{}, fmt.Errorf("this stand-in takes 2032 zero bytes, not %d of %s", size, data.Type)
				}
				done, err := w.store.Acquire(ctx, ref, 0, wire.Unsealed, "sealing", "")
				defer done()
				if err != nil {
					return wire.PieceInfo{}, err
				}
				return wire.AddPiece(w.store.File(ref.ID, wire.Unsealed))
			})
		},
		"SealPreCommit1": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var ticket []byte
			var pieces []wire.PieceInfo
			if err := wire.Take(p, &ref, &ticket, &pieces); err != nil {
				return nil, err
			}
			return w.job("SealPreCommit1", ref, []byte(nil), func(ctx context.Context) (any, error) {
				if err := w.store.DropEverywhere(ctx, ref.ID, wire.Sealed|wire.Cache); err != nil {
					return nil, err
				}
				done, err := w.store.Acquire(ctx, ref, wire.Unsealed, wire.Sealed|wire.Cache, "sealing", "")
				defer done()
				if err != nil {
					return nil, err
				}
				return wire.PreCommit1(ref, ticket, pieces, w.store.File(ref.ID, wire.Sealed), w.store.File(ref.ID, wire.Cache))
			})
		},
		"SealPreCommit2": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var out []byte
			if err := wire.Take(p, &ref, &out); err != nil {
				return nil, err
			}
			return w.job("SealPreCommit2", ref, wire.SectorCids{}, func(ctx context.Context) (any, error) {
				if _, err := w.store.Acquire(ctx, ref, wire.Sealed|wire.Cache, 0, "sealing", ""); err != nil {
					return wire.SectorCids{}, err
				}
				return wire.PreCommit2(ref, out, w.store.File(ref.ID, wire.Cache))
			})
		},
		"SealCommit1": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var ticket, seed []byte
			var pieces []wire.PieceInfo
			var cids wire.SectorCids
			if err := wire.Take(p, &ref, &ticket, &seed, &pieces, &cids); err != nil {
				return nil, err
			}
			return w.job("SealCommit1", ref, []byte(nil), func(ctx context.Context) (any, error) {
				if _, err := w.store.Acquire(ctx, ref, wire.Sealed|wire.Cache, 0, "sealing", ""); err != nil {
					return nil, err
				}
				return wire.Commit1(ref, ticket, seed, cids, w.store.File(ref.ID, wire.Cache))
			})
		},
		"SealCommit2": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var out []byte
			if err := wire.Take(p, &ref, &out); err != nil {
				return nil, err
			}
			return w.job("SealCommit2", ref, []byte(nil), func(context.Context) (any, error) { return wire.Commit2(out) })
		},
		"FinalizeSector": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			if err := wire.Take(p, &ref); err != nil {
				return nil, err
			}
			return w.job("FinalizeSector", ref, nothing, func(ctx context.Context) (any, error) {
				if _, err := w.store.Acquire(ctx, ref, wire.Cache, 0, "sealing", ""); err != nil {
					return nothing, err
				}
				return nothing, wire.Finalize(w.store.File(ref.ID, wire.Cache))
			})
		},
		"ReleaseUnsealed": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var keep []wire.Range
			if err := wire.Take(p, &ref, &keep); err != nil {
				return nil, err
			}
			return w.job("ReleaseUnsealed", ref, nothing, func(ctx context.Context) (any, error) {
				if len(keep) > 0 {
					return nothing, nil
				}
				return nothing, w.store.DropEverywhere(ctx, ref.ID, wire.Unsealed)
			})
		},
		"Fetch": func(_ context.Context, p []json.RawMessage) (any, error) {
			var ref wire.SectorRef
			var kinds int
			var pathType, mode string
			if err := wire.Take(p, &ref, &kinds, &pathType, &mode); err != nil {
				return nil, err
			}
			return w.job("Fetch", ref, nothing, func(ctx context.Context) (any, error) {
				_, err := w.store.Acquire(ctx, ref, kinds, 0, pathType, mode)
				return nothing, err
			})
		},
	}
}

func (w *worker) paths(ctx context.Context) (any, error) {
	var info wire.StorageInfo
	if err := w.miner.Call(ctx, "StorageInfo", &info, w.store.Info.ID); err != nil {
		return nil, err
	}
	return []wire.StoragePath{{ID: info.ID, Weight: info.Weight, LocalPath: *repo, CanSeal: info.CanSeal, CanStore: info.CanStore}}, nil
}

// nothing is the result of a call that returns an error only.
var nothing = struct{ none bool }{}

// job accepts a call: a record on disk, a CallID at once, the Return when it is done, retried until the miner takes it.
func (w *worker) job(method string, ref wire.SectorRef, zero any, do func(context.Context) (any, error)) (any, error) {
	call := wire.CallID{Sector: ref.ID, ID: wire.UUID()}
	if err := w.remember(call, method); err != nil {
		return nil, err
	}
	w.jobs.Add(1)
	go func() {
		defer w.jobs.Done()
		time.Sleep(*workTime)
		result, err := do(context.Background())
		var failure *wire.CallError
		if err != nil {
			result = zero
			if !errors.As(err, &failure) {
				failure = &wire.CallError{Message: fmt.Sprintf("%v [name: %s]: %v", err, *hostname, err)}
			}
			log.Printf("%s of %v failed: %v", method, ref.ID, err)
		}
		w.giveBack(method, call, result, failure)
	}()
	return call, nil
}

func (w *worker) giveBack(method string, call wire.CallID, result any, failure *wire.CallError) {
	params := []any{call, result, failure}
	if result == any(nothing) {
		params = []any{call, failure}
	}
	for {
		err := w.miner.Call(context.Background(), "Return"+method, nil, params...)
		if err == nil {
			_ = os.Remove(w.record(call))
			return
		}
		log.Printf("return error, will retry in 5s: Return%s: %v", method, err)
		time.Sleep(*heartbeat / 2)
	}
}

type left struct {
	Call   wire.CallID
	Method string
}

func (w *worker) record(call wire.CallID) string { return filepath.Join(*repo, "calls", call.ID) }

func (w *worker) remember(call wire.CallID, method string) error {
	if err := os.MkdirAll(filepath.Join(*repo, "calls"), 0o755); err != nil {
		return err
	}
	text, _ := json.Marshal(left{call, method})
	return os.WriteFile(w.record(call), text, 0o644)
}

// returnLeftovers gives back what an earlier process had accepted, with code 101.
func (w *worker) returnLeftovers(context.Context) {
	files, _ := os.ReadDir(filepath.Join(*repo, "calls"))
	zero := map[string]any{"AddPiece": wire.PieceInfo{}, "SealPreCommit1": []byte(nil), "SealPreCommit2": wire.SectorCids{}, "SealCommit1": []byte(nil), "SealCommit2": []byte(nil)}
	for _, file := range files {
		var one left
		text, err := os.ReadFile(filepath.Join(*repo, "calls", file.Name()))
		if err != nil || json.Unmarshal(text, &one) != nil {
			continue
		}
		result, ok := zero[one.Method]
		if !ok {
			result = nothing
		}
		failure := &wire.CallError{Code: 101, Message: fmt.Sprintf("worker [name: %s] restarted", *hostname)}
		w.giveBack(one.Method, one.Call, result, failure)
	}
}
