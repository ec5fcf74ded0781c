// Command stockminer behaves as Lotus's lotus-miner does towards a worker: it registers it, drives it through every task of
// a sealing sector, and decodes all that it says into structs without room for members that Lotus does not have, but ours.
//
// It talks with its test on standard input and output: a line `READY <rpc url> <token>` at start, then a command a line
// (`seal N`, `store N`, `unseal N`, `attach PATH`, `datacid`, `workers`, `session`, `down`, `up`, `connects`, `quit`), each answered by one line of JSON.
package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"peers/wire"
)

var secret = []byte("a secret of this process, 32 byte")

func sign(allow ...string) string {
	encode := base64.RawURLEncoding.EncodeToString
	payload, _ := json.Marshal(map[string][]string{"Allow": allow})
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload)
	return text + "." + encode(sum(text))
}

func sum(text string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func verify(token string) ([]string, error) {
	at := strings.LastIndex(token, ".")
	if at < 0 {
		return nil, errors.New("JWT Verification failed: jwt: malformed token")
	}
	given, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil || !hmac.Equal(given, sum(token[:at])) {
		return nil, errors.New("JWT Verification failed: jwt: HMAC verification failed")
	}
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var payload struct{ Allow []string }
	return payload.Allow, json.Unmarshal(raw, &payload)
}

type returned struct {
	method string
	result json.RawMessage
	err    *wire.CallError
}

type miner struct {
	lock     sync.Mutex
	session  string
	version  int
	index    map[string]*path
	workers  map[string]*worker
	results  map[string]chan returned
	calls    []string
	connects int
	start    time.Time
	jobs     map[string]wire.WorkerJob
	sectors  map[uint64]*wire.SectorInfo
}

type path struct {
	info  wire.StorageInfo
	stat  wire.FsStat
	beat  time.Time
	files map[wire.SectorID]map[int]bool
}

type worker struct {
	client  *wire.Client
	session string
	info    wire.OursInfo
	tasks   map[string]struct{}
}

func main() {
	version := flag.Int("api", wire.MinerAPI, "miner API version that it tells")
	flag.Parse()
	m := &miner{
		session: wire.UUID(), version: *version, index: map[string]*path{}, workers: map[string]*worker{},
		results: map[string]chan returned{}, start: time.Now(), jobs: map[string]wire.WorkerJob{},
		sectors: map[uint64]*wire.SectorInfo{},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
	address := listener.Addr().String()
	server := m.serve(listener)
	out := json.NewEncoder(os.Stdout)
	fmt.Printf("READY http://%s/rpc/v0 %s\n", address, sign("read", "write", "sign", "admin"))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "quit":
			return
		case "down":
			_ = out.Encode(map[string]any{"ok": server.Close() == nil})
		case "up":
			// a new process: another session, an empty index, no workers
			m.lock.Lock()
			m.session, m.index, m.workers = wire.UUID(), map[string]*path{}, map[string]*worker{}
			m.lock.Unlock()
			listener, err := net.Listen("tcp", address)
			if err == nil {
				server = m.serve(listener)
			}
			_ = out.Encode(map[string]any{"ok": err == nil, "error": fmt.Sprint(err)})
		default:
			answer, err := m.command(words)
			if err != nil {
				_ = out.Encode(map[string]any{"ok": false, "error": err.Error()})
			} else {
				_ = out.Encode(map[string]any{"ok": true, "result": answer})
			}
		}
	}
}

func (m *miner) serve(listener net.Listener) *http.Server {
	methods := m.methods()
	for name, method := range m.reads() {
		methods[name] = method
	}
	for name, method := range methods {
		methods[name] = func(ctx context.Context, p []json.RawMessage) (any, error) {
			m.lock.Lock()
			m.calls = append(m.calls, name)
			m.lock.Unlock()
			return method(ctx, p)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/rpc/v0", &wire.Server{Methods: methods, Verify: verify})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server
}

func (m *miner) command(words []string) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var number uint64
	if len(words) > 1 && words[0] != "attach" {
		if _, err := fmt.Sscan(words[1], &number); err != nil {
			return nil, err
		}
	}
	switch words[0] {
	case "seal":
		return m.seal(ctx, number)
	case "unseal":
		return m.unseal(ctx, number)
	case "datacid":
		return m.dataCid(ctx)
	case "store", "attach":
		w, err := m.one()
		if err != nil {
			return nil, err
		}
		if words[0] == "attach" {
			return nil, w.client.Call(ctx, "StorageAddLocal", nil, words[1])
		}
		return nil, m.store(ctx, w, number, wire.Sealed|wire.Cache)
	case "pc1":
		return m.until(ctx, number, "PC1")
	case "calls":
		m.lock.Lock()
		defer m.lock.Unlock()
		return append([]string{}, m.calls...), nil
	case "connects":
		m.lock.Lock()
		defer m.lock.Unlock()
		return m.connects, nil
	case "workers":
		m.lock.Lock()
		defer m.lock.Unlock()
		out := map[string]any{}
		for session, w := range m.workers {
			out[session] = map[string]any{"Info": w.info, "Tasks": w.tasks}
		}
		return out, nil
	case "tasks":
		w, err := m.one()
		if err != nil {
			return nil, err
		}
		tasks := map[string]struct{}{}
		return tasks, w.client.Call(ctx, "TaskTypes", &tasks)
	case "session":
		w, err := m.one()
		if err != nil {
			return nil, err
		}
		var session string
		if err := w.client.Call(ctx, "Session", &session); err != nil {
			return nil, err
		}
		return session == w.session, nil
	case "files":
		m.lock.Lock()
		defer m.lock.Unlock()
		return m.find(wire.SectorID{Miner: 1000, Number: number}, 63), nil
	}
	return nil, fmt.Errorf("no such command: %s", words[0])
}

func (m *miner) one() (*worker, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, w := range m.workers {
		return w, nil
	}
	return nil, errors.New("no worker is registered")
}

// step makes one call and waits for its Return.
func (m *miner) step(ctx context.Context, w *worker, method string, result any, ref wire.SectorRef, params ...any) error {
	var call wire.CallID
	if err := w.client.Call(ctx, method, &call, append([]any{ref}, params...)...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if call.Sector != ref.ID {
		return fmt.Errorf("%s: the CallID is of sector %v", method, call.Sector)
	}
	m.lock.Lock()
	m.jobs[call.ID] = wire.WorkerJob{ID: call, Sector: ref.ID, Task: taskOf[method], Start: time.Now()}
	m.lock.Unlock()
	defer func() {
		m.lock.Lock()
		defer m.lock.Unlock()
		delete(m.jobs, call.ID)
	}()
	select {
	case got := <-m.waiting(call.ID):
		if got.method != "Return"+method {
			return fmt.Errorf("%s came back by %s", method, got.method)
		}
		if got.err != nil {
			return fmt.Errorf("%s: storage call error %d: %s", method, got.err.Code, got.err.Message)
		}
		if result != nil {
			return wire.Take([]json.RawMessage{got.result}, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no return: %w", method, ctx.Err())
	}
}

// waiting is where the Return of a call arrives, whichever of the two comes first.
func (m *miner) waiting(id string) chan returned {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.results[id] == nil {
		m.results[id] = make(chan returned, 1)
	}
	return m.results[id]
}

func (m *miner) until(ctx context.Context, number uint64, last string) (any, error) {
	w, err := m.one()
	if err != nil {
		return nil, err
	}
	ref := wire.SectorRef{ID: wire.SectorID{Miner: 1000, Number: number}, ProofType: 5}
	ticket := make([]byte, 32)
	ticket[0] = byte(number)
	var piece wire.PieceInfo
	if err := m.step(ctx, w, "AddPiece", &piece, ref, []uint64{}, 2032, wire.ReaderStream{Type: "null", Info: "2032"}); err != nil {
		return nil, err
	}
	m.remember(number, "PreCommit1", func(s *wire.SectorInfo) {
		s.Pieces = []wire.SectorPiece{{Piece: piece}}
		s.Ticket = wire.SealTicket{Value: ticket, Epoch: 100}
	})
	if piece.PieceCID == nil || piece.PieceCID.Text != wire.ZeroPiece || piece.Size != 2048 {
		return nil, fmt.Errorf("AddPiece: %+v is not the piece of zeros", piece)
	}
	fetch := func(kinds int) error { return m.step(ctx, w, "Fetch", nil, ref, kinds, "sealing", "move") }
	if err := fetch(wire.Unsealed); err != nil {
		return nil, err
	}
	var out []byte
	if err := m.step(ctx, w, "SealPreCommit1", &out, ref, ticket, []wire.PieceInfo{piece}); err != nil || last == "PC1" {
		return len(out), err
	}
	var cids wire.SectorCids
	if err := fetch(wire.Sealed | wire.Cache); err != nil {
		return nil, err
	}
	if err := m.step(ctx, w, "SealPreCommit2", &cids, ref, out); err != nil {
		return nil, err
	}
	seed := make([]byte, 32)
	var c1, proof []byte
	if err := m.step(ctx, w, "SealCommit1", &c1, ref, ticket, seed, []wire.PieceInfo{piece}, cids); err != nil {
		return nil, err
	}
	if err := m.step(ctx, w, "SealCommit2", &proof, ref, c1); err != nil {
		return nil, err
	}
	if len(proof) != 192 {
		return nil, fmt.Errorf("SealCommit2: a proof of %d bytes", len(proof))
	}
	var none []wire.Range
	if err := m.step(ctx, w, "ReleaseUnsealed", nil, ref, none); err != nil {
		return nil, err
	}
	if err := fetch(wire.Cache); err != nil {
		return nil, err
	}
	if err := m.step(ctx, w, "FinalizeSector", nil, ref); err != nil {
		return nil, err
	}
	m.remember(number, "Proving", func(s *wire.SectorInfo) {
		s.CommD, s.CommR, s.Proof = cids.Unsealed, cids.Sealed, proof
		s.Seed = wire.SealTicket{Value: seed, Epoch: 250}
		s.Activation, s.Expiration, s.InitialPledge = 300, 1549563, "59604643840"
	})
	return map[string]any{"proof": len(proof), "sealed": cids.Sealed.Text}, nil
}

func (m *miner) seal(ctx context.Context, number uint64) (any, error) {
	return m.until(ctx, number, "")
}
