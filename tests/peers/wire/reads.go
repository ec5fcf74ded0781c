package wire

import "time"

// What commands and dashboards read at a miner, as Lotus's structs have it.

type WorkerStats struct {
	Info       OursInfo
	Tasks      []string
	Enabled    bool
	MemUsedMin uint64
	MemUsedMax uint64
	GpuUsed    float64
	CpuUse     uint64
	TaskCounts map[string]int
}

type WorkerJob struct {
	ID       CallID
	Sector   SectorID
	Task     string
	RunWait  int
	Start    time.Time
	Hostname string `json:",omitempty"`
}

type SchedDiag struct {
	SchedInfo struct {
		Requests    []struct{}
		OpenWindows []string
	}
	ReturnedWork []string
	Waiting      []string
	CallToWork   map[string]string
	EarlyRet     []string
}

type SealTicket struct {
	Value []byte
	Epoch int64
}

type SectorPiece struct {
	Piece    PieceInfo
	DealInfo *struct{}
}

type SectorLog struct {
	Kind      string
	Timestamp uint64
	Trace     string
	Message   string
}

type SectorInfo struct {
	SectorID             uint64
	State                string
	CommD                *Cid
	CommR                *Cid
	Proof                []byte
	Deals                []uint64
	Pieces               []SectorPiece
	Ticket               SealTicket
	Seed                 SealTicket
	PreCommitMsg         *Cid
	CommitMsg            *Cid
	Retries              uint64
	ToUpgrade            bool
	ReplicaUpdateMessage *Cid
	LastErr              string
	Log                  []SectorLog
	SealProof            int64
	Activation           int64
	Expiration           int64
	DealWeight           string
	VerifiedDealWeight   string
	InitialPledge        string
	OnTime               int64
	Early                int64
}

type Decl struct {
	Miner          uint64
	Number         uint64
	SectorFileType int
}

type Locks struct {
	Locks []struct{}
}

type AlertType struct {
	System    string
	Subsystem string
}

type AlertEvent struct {
	Type    string
	Message map[string]string
	Time    time.Time
}

type Alert struct {
	Type         AlertType
	Active       bool
	LastActive   *AlertEvent
	LastResolved *AlertEvent
}
