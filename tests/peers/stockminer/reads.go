package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"peers/wire"
)

// tasks of the calls that step makes.
var taskOf = map[string]string{
	"AddPiece": "seal/v0/addpiece", "SealPreCommit1": "seal/v0/precommit/1", "SealPreCommit2": "seal/v0/precommit/2",
	"SealCommit1": "seal/v0/commit/1", "SealCommit2": "seal/v0/commit/2", "FinalizeSector": "seal/v0/finalize",
	"ReleaseUnsealed": "seal/v0/finalizeunsealed", "Fetch": "seal/v0/fetch", "MoveStorage": "seal/v0/fetch",
	"UnsealPiece": "seal/v0/unseal", "DataCid": "seal/v0/datacid",
}

// reads are what commands ask; none of the methods that only our miner has is here.
func (m *miner) reads() map[string]wire.Method {
	constant := func(value any) wire.Method {
		return func(_ context.Context, p []json.RawMessage) (any, error) { return value, wire.Take(p) }
	}
	locked := func(do func() (any, error)) wire.Method {
		return func(_ context.Context, p []json.RawMessage) (any, error) {
			if err := wire.Take(p); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			return do()
		}
	}
	none := map[string]string{}
	return map[string]wire.Method{
		"StartTime":         constant(m.start),
		"RuntimeSubsystems": constant([]string{"Mining", "Sealing", "SectorStorage"}),
		"LogList":           constant([]string{"rpc", "advmgr", "sectors"}),
		"LogAlerts": constant([]wire.Alert{{
			Type: wire.AlertType{System: "process", Subsystem: "fd-limit"}, Active: true,
			LastActive: &wire.AlertEvent{Type: "raised", Message: map[string]string{"message": "soft FD limit is low"}, Time: m.start},
		}}),
		"StorageLocal":          constant(none),
		"StorageGetLocks":       constant(wire.Locks{Locks: []struct{}{}}),
		"SectorNumReservations": constant(none),
		"SectorNumAssignerMeta": constant(map[string]any{
			"Reserved": []int{0}, "Allocated": []int{0, 3}, "InUse": []int{0, 3}, "Next": 3,
		}),
		"WorkerStats": locked(func() (any, error) {
			out := map[string]wire.WorkerStats{}
			for session, w := range m.workers {
				names := []string{}
				for name := range w.tasks {
					names = append(names, name)
				}
				out[session] = wire.WorkerStats{Info: w.info, Tasks: names, Enabled: true, TaskCounts: m.counts()}
			}
			return out, nil
		}),
		"WorkerJobs": locked(func() (any, error) {
			out := map[string][]wire.WorkerJob{}
			for _, job := range m.jobs {
				for session := range m.workers {
					out[session] = append(out[session], job)
				}
			}
			return out, nil
		}),
		"SealingSchedDiag": func(_ context.Context, p []json.RawMessage) (any, error) {
			var force bool
			if err := wire.Take(p, &force); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			diag := wire.SchedDiag{CallToWork: map[string]string{}}
			for session := range m.workers {
				diag.SchedInfo.OpenWindows = append(diag.SchedInfo.OpenWindows, session)
			}
			return diag, nil
		},
		"SectorsList": locked(func() (any, error) { return m.numbers(func(*wire.SectorInfo) bool { return true }), nil }),
		"SectorsListInStates": func(_ context.Context, p []json.RawMessage) (any, error) {
			var states []string
			if err := wire.Take(p, &states); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			wanted := map[string]bool{}
			for _, state := range states {
				wanted[state] = true
			}
			return m.numbers(func(s *wire.SectorInfo) bool { return wanted[s.State] }), nil
		},
		"SectorsSummary": locked(func() (any, error) {
			out := map[string]int{}
			for _, s := range m.sectors {
				out[s.State]++
			}
			return out, nil
		}),
		"SectorsStatus": func(_ context.Context, p []json.RawMessage) (any, error) {
			var number uint64
			var onChain bool
			if err := wire.Take(p, &number, &onChain); err != nil {
				return nil, err
			}
			m.lock.Lock()
			defer m.lock.Unlock()
			if m.sectors[number] == nil {
				return nil, fmt.Errorf("sector %d not found", number)
			}
			told := *m.sectors[number]
			if !onChain {
				told.Activation, told.Expiration, told.InitialPledge = 0, 0, "0"
			}
			return told, nil
		},
		"StorageList": locked(func() (any, error) {
			out := map[string][]wire.Decl{}
			for id, p := range m.index {
				out[id] = []wire.Decl{}
				for sector, kinds := range p.files {
					for kind := range kinds {
						out[id] = append(out[id], wire.Decl{Miner: sector.Miner, Number: sector.Number, SectorFileType: kind})
					}
				}
			}
			return out, nil
		}),
		"StorageStat": m.ofPath(func(known *path) any { return known.stat }),
	}
}

func (m *miner) numbers(wanted func(*wire.SectorInfo) bool) []uint64 {
	found := []uint64{}
	for number, sector := range m.sectors {
		if wanted(sector) {
			found = append(found, number)
		}
	}
	sort.Slice(found, func(a, b int) bool { return found[a] < found[b] })
	return found
}

func (m *miner) counts() map[string]int {
	out := map[string]int{}
	for _, job := range m.jobs {
		out["5:"+job.Task]++
	}
	return out
}

// remember what became of a sector, as a state machine would.
func (m *miner) remember(number uint64, state string, change func(*wire.SectorInfo)) {
	m.lock.Lock()
	defer m.lock.Unlock()
	sector := m.sectors[number]
	if sector == nil {
		sector = &wire.SectorInfo{
			SectorID: number, Deals: []uint64{0}, SealProof: 5, DealWeight: "0", VerifiedDealWeight: "0", InitialPledge: "0",
		}
		m.sectors[number] = sector
	}
	sector.State = state
	sector.Log = append(sector.Log, wire.SectorLog{Kind: "event;sealing.Sector" + state, Timestamp: uint64(time.Now().Unix())})
	change(sector)
}
