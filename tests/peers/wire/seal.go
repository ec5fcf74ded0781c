package wire

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Stand-in sealing: files of a few bytes at Lotus's places, commitments that depend on ticket and pieces. The formulas are
// those of the rehearsal sealer on the other side, so that each may go on where the other one stopped.

var (
	unsealedPrefix = []byte{1, 0x81, 0xe2, 3, 0x92, 0x20, 32}
	sealedPrefix   = []byte{1, 0x82, 0xe2, 3, 0x81, 0xe8, 2, 32}
	base           = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// ZeroPiece is the piece of 2032 zero bytes.
const ZeroPiece = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"

func cid(prefix, raw []byte) *Cid {
	return &Cid{"b" + base.EncodeToString(append(append([]byte{}, prefix...), raw...))}
}

func digest(parts ...[]byte) []byte {
	state := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
		state.Write(length[:])
		state.Write(part)
	}
	return state.Sum(nil)
}

func element(raw []byte) []byte {
	raw[31] &= 0x3f
	return raw
}

func name(s SectorID) string { return fmt.Sprintf("s-t0%d-%d", s.Miner, s.Number) }

// Name of a sector's files.
func Name(s SectorID) string { return name(s) }

func standin(file string, about map[string]any, size int) error {
	about["stand-in"] = filepath.Base(file)
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	data := append(text, '\n')
	for len(data) < size {
		data = append(data, 0)
	}
	return os.WriteFile(file, data, 0o644)
}

func ints(raw []byte) []int {
	out := make([]int, len(raw))
	for i, b := range raw {
		out[i] = int(b)
	}
	return out
}

func bytesOf(values []int) []byte {
	out := make([]byte, len(values))
	for i, v := range values {
		out[i] = byte(v)
	}
	return out
}

// AddPiece of zeros, the whole sector.
func AddPiece(file string) (PieceInfo, error) {
	err := standin(file, map[string]any{"pieces": []string{ZeroPiece}}, 2048)
	return PieceInfo{2048, &Cid{ZeroPiece}}, err
}

// PreCommit1 makes the sealed file and the cache.
func PreCommit1(sector SectorRef, ticket []byte, pieces []PieceInfo, sealed, cache string) ([]byte, error) {
	if len(pieces) != 1 || pieces[0].PieceCID == nil {
		return nil, fmt.Errorf("presealing sector %d: one piece is wanted, got %d", sector.ID.Number, len(pieces))
	}
	raw, err := base.DecodeString(strings.TrimPrefix(pieces[0].PieceCID.Text, "b"))
	if err != nil {
		return nil, err
	}
	root := raw[len(raw)-32:]
	replica := digest([]byte("replica"), []byte(name(sector.ID)), []byte(fmt.Sprint(sector.ProofType)), ticket, root)
	about := func() map[string]any { return map[string]any{"replica": hex.EncodeToString(replica)} }
	if err := os.RemoveAll(cache); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	if err := standin(sealed, about(), 2048); err != nil {
		return nil, err
	}
	for file, size := range map[string]int{
		"sc-02-data-tree-d.dat": 4064, "sc-02-data-layer-1.dat": 2048, "sc-02-data-layer-2.dat": 2048,
	} {
		if err := standin(filepath.Join(cache, file), about(), size); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{
		"_lotus_SealRandomness": ticket, "comm_d": ints(root), "registered_proof": "StackedDrg2KiBV1_1",
		"replica": ints(replica), "simulated": true,
	})
}

// PreCommit2 makes the trees and both commitments.
func PreCommit2(sector SectorRef, out []byte, cache string) (SectorCids, error) {
	var told struct {
		Ticket []byte `json:"_lotus_SealRandomness"`
		CommD  []int  `json:"comm_d"`
	}
	if err := json.Unmarshal(out, &told); err != nil {
		return SectorCids{}, err
	}
	root := bytesOf(told.CommD)
	replica := digest([]byte("replica"), []byte(name(sector.ID)), []byte(fmt.Sprint(sector.ProofType)), told.Ticket, root)
	commC, last := digest([]byte("comm_c"), replica), digest([]byte("comm_r_last"), replica)
	about := func() map[string]any { return map[string]any{"replica": hex.EncodeToString(replica)} }
	// without sc-02-data-tree-c.dat, which Lotus's fetch refuses
	if err := standin(filepath.Join(cache, "sc-02-data-tree-r-last.dat"), about(), 0); err != nil {
		return SectorCids{}, err
	}
	if err := os.WriteFile(filepath.Join(cache, "p_aux"), append(commC, last...), 0o644); err != nil {
		return SectorCids{}, err
	}
	if err := standin(filepath.Join(cache, "t_aux"), about(), 375); err != nil {
		return SectorCids{}, err
	}
	commR := element(digest([]byte("comm_r"), commC, last))
	return SectorCids{cid(unsealedPrefix, root), cid(sealedPrefix, commR)}, nil
}

// Commit1 checks that the cache is of the sealed CID that it was told.
func Commit1(sector SectorRef, ticket, seed []byte, cids SectorCids, cache string) ([]byte, error) {
	aux, err := os.ReadFile(filepath.Join(cache, "p_aux"))
	if err != nil || len(aux) != 64 {
		return nil, fmt.Errorf("computing seal proof failed(2): p_aux of %s: %d bytes, %v", name(sector.ID), len(aux), err)
	}
	commR := element(digest([]byte("comm_r"), aux[:32], aux[32:]))
	if cids.Sealed == nil || *cids.Sealed != *cid(sealedPrefix, commR) {
		return nil, fmt.Errorf("computing seal proof failed(2): the cache of %s is of another run", name(sector.ID))
	}
	raw, err := base.DecodeString(strings.TrimPrefix(cids.Unsealed.Text, "b"))
	if err != nil {
		return nil, err
	}
	root := raw[len(raw)-32:]
	replica := digest([]byte("replica"), []byte(name(sector.ID)), []byte(fmt.Sprint(sector.ProofType)), ticket, root)
	return json.Marshal(map[string]any{
		"comm_d": ints(root), "comm_r": ints(commR), "replica_id": ints(replica), "seed": ints(seed),
		"registered_proof": "StackedDrg2KiBV1_1", "simulated": true, "ticket": ints(ticket),
	})
}

// Commit2 makes a proof of the right length.
func Commit2(out []byte) ([]byte, error) {
	one := digest([]byte("proof"), out)
	proof := []byte{}
	for i := byte(0); len(proof) < 192; i++ {
		proof = append(proof, digest(one, []byte{i})...)
	}
	return proof[:192], nil
}

// Finalize leaves what Lotus leaves.
func Finalize(cache string) error {
	files, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, file := range files {
		switch file.Name() {
		case "p_aux", "t_aux", "sc-02-data-tree-r-last.dat":
		default:
			if err := os.Remove(filepath.Join(cache, file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
