package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"

	"peers/wire"
)

// methods that a worker calls, and no others: what only our miner has is not there.
func (m *miner) methods() map[string]wire.Method {
	methods := map[string]wire.Method{
		"Version": func(context.Context, []json.RawMessage) (any, error) {
			return wire.APIVersion{Version: "v1.36.2-dev+2k+git.00000000", APIVersion: uint32(m.version), BlockDelay: 4, Agent: "lotus"}, nil
		},
		"ActorAddress": func(context.Context, []json.RawMessage) (any, error) { return "t01000", nil },
		"ActorSectorSize": func(_ context.Context, p []json.RawMessage) (any, error) {
			var address string
			return 2048, wire.Take(p, &address)
		},
		"Session": func(context.Context, []json.RawMessage) (any, error) {
			m.lock.Lock()
			defer m.lock.Unlock()
			return m.session, nil
		},
		"AuthVerify": func(_ context.Context, p []json.RawMessage) (any, error) {
			var token string
			if err := wire.Take(p, &token); err != nil {
				return nil, err
			}
			return verify(token)
		},
		"WorkerConnect": func(ctx context.Context, p []json.RawMessage) (any, error) {
			var url string
			if err := wire.Take(p, &url); err != nil {
				return nil, err
			}
			return nil, m.connect(ctx, url)
		},
		"StorageAttach": func(_ context.Context, p []json.RawMessage) (any, error) {
			var info wire.StorageInfo
			var stat wire.FsStat
			if err := wire.Take(p, &info, &stat); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			if known := m.index[info.ID]; known != nil {
				known.info = info
			} else {
				m.index[info.ID] = &path{info, stat, time.Now(), map[wire.SectorID]map[int]bool{}}
			}
			return nil, nil
		},
		"StorageReportHealth": func(_ context.Context, p []json.RawMessage) (any, error) {
			var id string
			var report wire.HealthReport
			if err := wire.Take(p, &id, &report); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			if m.index[id] == nil {
				return nil, fmt.Errorf("health report for unknown storage: %s", id)
			}
			m.index[id].stat, m.index[id].beat = report.Stat, time.Now()
			return nil, nil
		},
		"StorageInfo": m.ofPath(func(known *path) any { return known.info }),
		"StorageDetach": func(_ context.Context, p []json.RawMessage) (any, error) {
			var id, url string
			if err := wire.Take(p, &id, &url); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			delete(m.index, id)
			return nil, nil
		},
		"StorageDeclareSector": func(_ context.Context, p []json.RawMessage) (any, error) {
			var id string
			var sector wire.SectorID
			var kinds int
			var primary bool
			if err := wire.Take(p, &id, &sector, &kinds, &primary); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			if m.index[id] == nil {
				return nil, nil
			}
			if m.index[id].files[sector] == nil {
				m.index[id].files[sector] = map[int]bool{}
			}
			for bit := range wire.TypeNames {
				if kinds&(1<<bit) != 0 {
					m.index[id].files[sector][1<<bit] = m.index[id].files[sector][1<<bit] || primary
				}
			}
			return nil, nil
		},
		"StorageDropSector": func(_ context.Context, p []json.RawMessage) (any, error) {
			var id string
			var sector wire.SectorID
			var kinds int
			if err := wire.Take(p, &id, &sector, &kinds); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			for bit := range wire.TypeNames {
				if m.index[id] != nil && kinds&(1<<bit) != 0 {
					delete(m.index[id].files[sector], 1<<bit)
				}
			}
			return nil, nil
		},
		"StorageFindSector": func(_ context.Context, p []json.RawMessage) (any, error) {
			var sector wire.SectorID
			var kinds, size int
			var fetch bool
			if err := wire.Take(p, &sector, &kinds, &size, &fetch); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			return m.find(sector, kinds), nil
		},
		"StorageBestAlloc": func(_ context.Context, p []json.RawMessage) (any, error) {
			var kinds, size int
			var pathType string
			var actor uint64
			if err := wire.Take(p, &kinds, &size, &pathType, &actor); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			return m.best(pathType)
		},
	}
	for method, result := range map[string]bool{
		"AddPiece": true, "SealPreCommit1": true, "SealPreCommit2": true, "SealCommit1": true, "SealCommit2": true,
		"FinalizeSector": false, "ReleaseUnsealed": false, "Fetch": false, "MoveStorage": false, "UnsealPiece": false,
		"DataCid": true,
	} {
		methods["Return"+method] = m.take("Return"+method, result)
	}
	return methods
}

func (m *miner) take(name string, hasResult bool) wire.Method {
	return func(_ context.Context, p []json.RawMessage) (any, error) {
		got := returned{method: name}
		var call wire.CallID
		var err error
		if hasResult {
			err = wire.Take(p, &call, &got.result, &got.err)
		} else {
			err = wire.Take(p, &call, &got.err)
		}
		if err != nil {
			return nil, err
		}
		select {
		case m.waiting(call.ID) <- got:
			return nil, nil
		default:
			return nil, errors.New("callRes channel already has a response")
		}
	}
}

// connect calls back while the worker waits (lotus-wire 3.3).
func (m *miner) connect(ctx context.Context, url string) error {
	w := &worker{client: wire.NewClient(url, sign("admin"))}
	var version int
	if err := w.client.Call(ctx, "Version", &version); err != nil {
		return fmt.Errorf("connecting remote storage failed: %w", err)
	}
	if version>>8 != wire.WorkerAPI>>8 {
		return fmt.Errorf("unsupported worker api version: %d", version)
	}
	if err := w.client.Call(ctx, "Session", &w.session); err != nil {
		return fmt.Errorf("getting worker session: %w", err)
	}
	if err := w.client.Call(ctx, "Info", &w.info); err != nil {
		return fmt.Errorf("getting worker info: %w", err)
	}
	if err := w.client.Call(ctx, "TaskTypes", &w.tasks); err != nil {
		return fmt.Errorf("getting worker tasks: %w", err)
	}
	if w.info.Resources.MemPhysical == 0 {
		return errors.New("the worker has no memory")
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.connects++
	m.workers[w.session] = w
	return nil
}

func (m *miner) find(sector wire.SectorID, kinds int) []wire.SectorStorageInfo {
	found := []wire.SectorStorageInfo{}
	for _, p := range m.index {
		for bit, name := range wire.TypeNames {
			primary, has := p.files[sector][1<<bit]
			if kinds&(1<<bit) == 0 || !has {
				continue
			}
			urls := []string{}
			for _, base := range p.info.URLs {
				urls = append(urls, base+"/"+name+"/"+wire.Name(sector))
			}
			found = append(found, wire.SectorStorageInfo{
				ID: p.info.ID, URLs: urls, BaseURLs: p.info.URLs, Weight: p.info.Weight, CanSeal: p.info.CanSeal,
				CanStore: p.info.CanStore, Primary: primary, AllowTypes: []string{}, DenyTypes: []string{},
			})
		}
	}
	return found
}

func (m *miner) best(pathType string) ([]wire.StorageInfo, error) {
	found := []wire.StorageInfo{}
	for _, p := range m.index {
		fits := pathType == "sealing" && p.info.CanSeal || pathType == "storage" && p.info.CanStore
		if fits && time.Since(p.beat) < 50*time.Second {
			found = append(found, p.info)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no good path found")
	}
	sort.Slice(found, func(a, b int) bool { return m.index[found[a].ID].stat.Available > m.index[found[b].ID].stat.Available })
	return found, nil
}

// ofPath answers what is asked of one path by its id.
func (m *miner) ofPath(told func(*path) any) wire.Method {
	return func(_ context.Context, p []json.RawMessage) (any, error) {
		var id string
		if err := wire.Take(p, &id); err != nil {
			return nil, err
		}
		m.lock.Lock()
		defer m.lock.Unlock()
		if m.index[id] == nil {
			return nil, errors.New("sector store not found")
		}
		return told(m.index[id]), nil
	}
}
