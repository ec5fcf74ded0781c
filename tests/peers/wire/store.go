package wire

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// UUID is a random one.
func UUID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

// Store is one storage path of a program, found by others through the miner's index.
type Store struct {
	Miner *Client
	Info  StorageInfo
	Root  string
	Empty bool
	lock  sync.Map
}

var errNoSpace = &CallError{102, "couldn't find a suitable path for a sector"}

func (e *CallError) Error() string { return e.Message }

// OpenStore makes the folders and, the first time, the path's id.
func OpenStore(root, url string, miner *Client, canStore bool) (*Store, error) {
	for _, kind := range TypeNames {
		if err := os.MkdirAll(filepath.Join(root, kind), 0o755); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(root, "sectorstore.json")
	info := StorageInfo{ID: UUID(), Weight: 10, CanSeal: true, CanStore: canStore}
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &info); err != nil {
			return nil, err
		}
	} else {
		text, _ := json.MarshalIndent(map[string]any{
			"ID": info.ID, "Weight": info.Weight, "CanSeal": true, "CanStore": canStore, "MaxStorage": 0,
		}, "", "  ")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return nil, err
		}
	}
	info.URLs = []string{url}
	return &Store{Miner: miner, Info: info, Root: root}, nil
}

// Stat pretends to a terabyte, or to nothing at all.
func (s *Store) Stat() FsStat {
	if s.Empty {
		return FsStat{}
	}
	return FsStat{Capacity: 1 << 40, Available: 1 << 39, FSAvailable: 1 << 39}
}

// Declare attaches the path and declares every file in it, as Lotus does at start and when the miner came back.
func (s *Store) Declare(ctx context.Context) error {
	if err := s.Miner.Call(ctx, "StorageAttach", nil, s.Info, s.Stat()); err != nil {
		return err
	}
	for bit, kind := range TypeNames {
		entries, err := os.ReadDir(filepath.Join(s.Root, kind))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Name() == "fetching" {
				continue
			}
			var id SectorID
			if _, err := fmt.Sscanf(entry.Name(), "s-t0%d-%d", &id.Miner, &id.Number); err != nil {
				return fmt.Errorf("parse sector id %s: %w", entry.Name(), err)
			}
			if err := s.declare(ctx, id, 1<<bit, s.Info.CanStore); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) declare(ctx context.Context, id SectorID, kind int, primary bool) error {
	return s.Miner.Call(ctx, "StorageDeclareSector", nil, s.Info.ID, id, kind, primary)
}

// File of a sector, one type.
func (s *Store) File(id SectorID, kind int) string {
	for bit, text := range TypeNames {
		if kind == 1<<bit {
			return filepath.Join(s.Root, text, name(id))
		}
	}
	panic("one type is wanted")
}

func each(kinds int) []int {
	out := []int{}
	for bit := range TypeNames {
		if kinds&(1<<bit) != 0 {
			out = append(out, 1<<bit)
		}
	}
	return out
}

// Acquire brings the files that are to be found here and makes room for those to be made (lotus-wire 7.5). The returned
// function declares what was made; it is called when the job ends, well or badly.
func (s *Store) Acquire(ctx context.Context, ref SectorRef, find, make int, pathType, mode string) (func(), error) {
	one, _ := s.lock.LoadOrStore(ref.ID, &sync.Mutex{})
	one.(*sync.Mutex).Lock()
	defer one.(*sync.Mutex).Unlock()
	for _, kind := range each(find) {
		if err := s.bring(ctx, ref, kind, pathType, mode); err != nil {
			return func() {}, err
		}
	}
	if make != 0 {
		var best []StorageInfo
		if err := s.Miner.Call(ctx, "StorageBestAlloc", &best, make, 2048, pathType, ref.ID.Miner); err != nil {
			return func() {}, err
		}
		mine := false
		for _, info := range best {
			mine = mine || info.ID == s.Info.ID
		}
		if !mine {
			return func() {}, errNoSpace
		}
	}
	return func() {
		for _, kind := range each(make) {
			_ = s.declare(context.Background(), ref.ID, kind, mode == "move")
		}
	}, nil
}

func (s *Store) bring(ctx context.Context, ref SectorRef, kind int, pathType, mode string) error {
	var found []SectorStorageInfo
	if err := s.Miner.Call(ctx, "StorageFindSector", &found, ref.ID, kind, 2048, false); err != nil {
		return err
	}
	for _, entry := range found {
		if entry.ID == s.Info.ID {
			return nil
		}
	}
	var best []StorageInfo
	if err := s.Miner.Call(ctx, "StorageBestAlloc", &best, kind, 2048, pathType, ref.ID.Miner); err != nil {
		return err
	}
	if err := s.Miner.Call(ctx, "StorageFindSector", &found, ref.ID, kind, 0, false); err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("failed to acquire sector %s from remote(%d): sector not found", name(ref.ID), kind)
	}
	failures := []error{}
	for _, entry := range found {
		for _, url := range entry.URLs {
			if err := s.fetch(ctx, url, ref.ID, kind); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", url, err))
				continue
			}
			if err := s.declare(ctx, ref.ID, kind, mode == "move"); err == nil && mode == "move" {
				s.remove(ctx, url+"?keep="+s.Info.ID)
			}
			return nil
		}
	}
	return fmt.Errorf("failed to acquire sector %s: %w", name(ref.ID), errors.Join(failures...))
}

func (s *Store) request(ctx context.Context, method, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.Miner.Token)
	return http.DefaultClient.Do(request)
}

func (s *Store) remove(ctx context.Context, url string) {
	if response, err := s.request(ctx, http.MethodDelete, url); err == nil {
		response.Body.Close()
	}
}

// cacheLimits are the names that Lotus's extractor takes, for a sector of 2 KiB.
var cacheLimits = map[string]int64{
	"p_aux": 64, "t_aux": 10240, "sc-02-data-tree-r-last.dat": 10_000_000, "sc-02-data-tree-d.dat": 130 << 30,
	"sc-02-data-layer-1.dat": 65 << 30, "sc-02-data-layer-2.dat": 65 << 30,
}

func (s *Store) fetch(ctx context.Context, url string, id SectorID, kind int) error {
	response, err := s.request(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return fmt.Errorf("non-200 code: %d", response.StatusCode)
	}
	into := filepath.Join(filepath.Dir(s.File(id, kind)), "fetching", name(id))
	if err := os.RemoveAll(into); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	switch media {
	case "application/x-tar":
		err = extract(response.Body, into)
	case "application/octet-stream":
		err = save(response.Body, into)
	default:
		err = fmt.Errorf("unknown content type: '%s'", media)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(into))
	}
	if err := os.RemoveAll(s.File(id, kind)); err != nil {
		return err
	}
	return os.Rename(into, s.File(id, kind))
}

func save(from io.Reader, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}

func extract(from io.Reader, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		limit, known := cacheLimits[header.Name]
		if !known {
			return fmt.Errorf("tar file %q isn't expected", header.Name)
		}
		if header.Size > limit {
			return fmt.Errorf("tar file %q is larger than expected: %d", header.Name, header.Size)
		}
		if err := save(archive, filepath.Join(folder, header.Name)); err != nil {
			return err
		}
	}
}

// Drop forgets and deletes what is here of some types.
func (s *Store) Drop(ctx context.Context, id SectorID, kinds int) error {
	for _, kind := range each(kinds) {
		if err := s.Miner.Call(ctx, "StorageDropSector", nil, s.Info.ID, id, kind); err != nil {
			return err
		}
		if err := os.RemoveAll(s.File(id, kind)); err != nil {
			return err
		}
	}
	return nil
}

// DropEverywhere removes every copy: own ones here, those of others by DELETE.
func (s *Store) DropEverywhere(ctx context.Context, id SectorID, kinds int) error {
	for _, kind := range each(kinds) {
		var found []SectorStorageInfo
		if err := s.Miner.Call(ctx, "StorageFindSector", &found, id, kind, 0, false); err != nil {
			return err
		}
		for _, entry := range found {
			if entry.ID == s.Info.ID {
				if err := s.Drop(ctx, id, kind); err != nil {
					return err
				}
			} else if len(entry.URLs) > 0 {
				s.remove(ctx, entry.URLs[0])
			}
		}
	}
	return nil
}

// ServeHTTP is /remote: Go's file server for files, an archive that is never finished for folders.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) == 3 && parts[1] == "stat" && r.Method == http.MethodGet {
		if parts[2] != s.Info.ID {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(s.Stat())
		return
	}
	if len(parts) != 3 {
		http.NotFound(w, r)
		return
	}
	kind := 0
	for bit, text := range TypeNames {
		if text == parts[1] {
			kind = 1 << bit
		}
	}
	var id SectorID
	if _, err := fmt.Sscanf(parts[2], "s-t0%d-%d", &id.Miner, &id.Number); err != nil || kind == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.serve(w, r, s.File(id, kind))
	case http.MethodDelete:
		for _, keep := range strings.Split(r.URL.Query().Get("keep"), ".") {
			if keep == s.Info.ID {
				return
			}
		}
		if err := s.Drop(r.Context(), id, kind); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request, path string) {
	info, err := os.Stat(path)
	if err != nil || (info.IsDir() && r.Header.Get("Range") != "") {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if !info.IsDir() {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(w, r, path)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	archive := tar.NewWriter(w)
	entries, _ := os.ReadDir(path)
	for _, entry := range entries {
		file, err := os.Open(filepath.Join(path, entry.Name()))
		if err != nil {
			return
		}
		about, _ := file.Stat()
		header, _ := tar.FileInfoHeader(about, "")
		if archive.WriteHeader(header) == nil {
			_, _ = io.Copy(archive, file)
		}
		file.Close()
	}
	// Lotus never closes the archive, so the last file is not padded.
}
