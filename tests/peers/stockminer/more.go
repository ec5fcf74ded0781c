package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"peers/wire"
)

// store moves a finished sector to its long-term path: Fetch into a path for storage, then MoveStorage.
func (m *miner) store(ctx context.Context, w *worker, number uint64, kinds int) error {
	ref := wire.SectorRef{ID: wire.SectorID{Miner: 1000, Number: number}, ProofType: 5}
	if err := m.step(ctx, w, "Fetch", nil, ref, kinds, "storage", "move"); err != nil {
		return err
	}
	return m.step(ctx, w, "MoveStorage", nil, ref, kinds)
}

// unseal as lotus-wire 5.6 has it: two fetches of which the second finds nothing, UnsealPiece, and the file to its place.
func (m *miner) unseal(ctx context.Context, number uint64) (any, error) {
	w, err := m.one()
	if err != nil {
		return nil, err
	}
	m.lock.Lock()
	sector := m.sectors[number]
	m.lock.Unlock()
	if sector == nil || sector.CommD == nil {
		return nil, fmt.Errorf("sector %d is not sealed", number)
	}
	ref := wire.SectorRef{ID: wire.SectorID{Miner: 1000, Number: number}, ProofType: 5}
	if err := m.step(ctx, w, "Fetch", nil, ref, wire.Sealed|wire.Cache, "sealing", "copy"); err != nil {
		return nil, err
	}
	missing := m.step(ctx, w, "Fetch", nil, ref, wire.Update|wire.UpdateCache, "sealing", "copy")
	if missing == nil || !strings.Contains(missing.Error(), "sector not found") {
		return nil, fmt.Errorf("a fetch of files that are nowhere: %v", missing)
	}
	if err := m.step(ctx, w, "UnsealPiece", nil, ref, 0, 2032, sector.Ticket.Value, sector.CommD); err != nil {
		return nil, err
	}
	return missing.Error(), m.store(ctx, w, number, wire.Unsealed)
}

// dataCid has data hashed from each kind of reader: zeros by number, then the same bytes from a URL and pushed.
func (m *miner) dataCid(ctx context.Context) (any, error) {
	w, err := m.one()
	if err != nil {
		return nil, err
	}
	const size = 2032
	data := bytes.Repeat([]byte("a piece "), size/8)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(data)
		}))
	}()
	found := []string{}
	for _, reader := range []wire.ReaderStream{
		{Type: "null", Info: fmt.Sprint(size)},
		{Type: "http", Info: "http://" + listener.Addr().String() + "/piece"},
		{Type: "push", Info: wire.UUID()},
	} {
		pushed := make(chan error, 1)
		if reader.Type == "push" {
			go func() { pushed <- push(ctx, w.client.URL, reader.Info, data) }()
		} else {
			pushed <- nil
		}
		var call wire.CallID
		if err := w.client.Call(ctx, "DataCid", &call, size, reader); err != nil {
			return nil, fmt.Errorf("DataCid of %s: %w", reader.Type, err)
		}
		if call.Sector != (wire.SectorID{}) {
			return nil, fmt.Errorf("DataCid: the CallID is of sector %v", call.Sector)
		}
		var piece wire.PieceInfo
		if err := m.take1(ctx, call, "ReturnDataCid", &piece); err != nil {
			return nil, fmt.Errorf("DataCid of %s: %w", reader.Type, err)
		}
		if err := <-pushed; err != nil {
			return nil, err
		}
		if piece.PieceCID == nil {
			return nil, errors.New("DataCid: no cid")
		}
		found = append(found, fmt.Sprintf("%s %d", piece.PieceCID.Text, piece.Size))
	}
	return found, nil
}

// push as lib/rpcenc does: HEAD until it is told that somebody reads, then POST; no token on either.
func push(ctx context.Context, rpc, id string, data []byte) error {
	url := strings.TrimSuffix(rpc, "/rpc/v0") + "/rpc/streams/v0/push/" + id
	for _, method := range []string{http.MethodHead, http.MethodPost} {
		var body io.Reader
		if method == http.MethodPost {
			body = io.MultiReader(bytes.NewReader(data)) // of unknown length, so sent in chunks
		}
		request, err := http.NewRequestWithContext(ctx, method, url, body)
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/octet-stream")
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s of a stream: %s", method, response.Status)
		}
	}
	return nil
}

// take1 waits for a Return and decodes its result.
func (m *miner) take1(ctx context.Context, call wire.CallID, method string, result any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case got := <-m.waiting(call.ID):
		if got.method != method {
			return fmt.Errorf("came back by %s", got.method)
		}
		if got.err != nil {
			return fmt.Errorf("storage call error %d: %s", got.err.Code, got.err.Message)
		}
		return wire.Decode(got.result, result)
	case <-ctx.Done():
		return ctx.Err()
	}
}
