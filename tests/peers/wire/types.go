// Package wire is Lotus's wire as far as a stock worker and a stock miner need it, on Go's standard library alone.
//
// It knows nothing of the Python programs that it is tried against: what it decodes, it decodes into structs, and a member
// that Lotus does not have is an error unless it stands in one of the structs named Ours.
package wire

import "encoding/json"

type SectorID struct {
	Miner  uint64
	Number uint64
}

type SectorRef struct {
	ID        SectorID
	ProofType int64
}

type CallID struct {
	Sector SectorID
	ID     string
}

type CallError struct {
	Code    int
	Message string
}

type Cid struct {
	Text string `json:"/"`
}

type PieceInfo struct {
	Size     uint64
	PieceCID *Cid
}

type SectorCids struct {
	Unsealed *Cid
	Sealed   *Cid
}

type Range struct {
	Offset uint64
	Size   uint64
}

type StorageInfo struct {
	ID          string
	URLs        []string
	Weight      uint64
	MaxStorage  uint64
	CanSeal     bool
	CanStore    bool
	Groups      []string
	AllowTo     []string
	AllowTypes  []string
	DenyTypes   []string
	AllowMiners []string
	DenyMiners  []string
}

type SectorStorageInfo struct {
	ID          string
	URLs        []string
	BaseURLs    []string
	Weight      uint64
	CanSeal     bool
	CanStore    bool
	Primary     bool
	AllowTypes  []string
	DenyTypes   []string
	AllowMiners []string
	DenyMiners  []string
}

type FsStat struct {
	Capacity    int64
	Available   int64
	FSAvailable int64
	Reserved    int64
	Max         int64
	Used        int64
}

type HealthReport struct {
	Stat FsStat
	Err  string
}

type StoragePath struct {
	ID        string
	Weight    uint64
	LocalPath string
	CanSeal   bool
	CanStore  bool
}

type APIVersion struct {
	Version    string
	APIVersion uint32
	BlockDelay uint64
	Agent      string
}

// Resources of one task and proof.
type Resources struct {
	MinMemory         uint64
	MaxMemory         uint64
	GPUUtilization    float64
	MaxParallelism    int
	MaxParallelismGPU int
	BaseMinMemory     uint64
	MaxConcurrent     int
}

// WorkerResources as a stock worker states them.
type WorkerResources struct {
	MemPhysical uint64
	MemUsed     uint64
	MemSwap     uint64
	MemSwapUsed uint64
	CPUs        uint64
	GPUs        []string
	Resources   map[string]map[string]Resources
}

type WorkerInfo struct {
	Hostname        string
	IgnoreResources bool
	Resources       WorkerResources
}

// OursResources are the members that our worker may add to its resources.
type OursResources struct {
	WorkerResources
	PreCommit1Max      int
	PreCommit1HoldMax  int
	PreCommit2Max      int
	Commit2Max         int
	ForceP2FromLocalP1 bool
	CapExtras          json.RawMessage
}

// OursInfo is WorkerInfo with what our worker may add.
type OursInfo struct {
	Hostname        string
	IgnoreResources bool
	Resources       OursResources
	WorkerID        string
}

type ReaderStream struct {
	Type string
	Info string
}

// File types, one bit each.
const (
	Unsealed = 1 << iota
	Sealed
	Cache
	Update
	UpdateCache
	Piece
)

// TypeNames in the order of the bits.
var TypeNames = []string{"unsealed", "sealed", "cache", "update", "update-cache", "piece"}

const (
	MinerAPI  = 0x010500
	WorkerAPI = 0x010700
)
