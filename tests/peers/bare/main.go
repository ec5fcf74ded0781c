// Command bare is a plain net/http server that decodes a JSON-RPC request and answers a sector found on two paths: what the
// Python server is measured beside. It prints its port and ends when standard input does.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"peers/wire"
)

func main() {
	entry := wire.SectorStorageInfo{
		ID: "76f1988b-ef30-4d7e-b3ec-9a627f4ba5a8", URLs: []string{"http://10.0.0.5:3456/remote/sealed/s-t01000-15"},
		BaseURLs: []string{"http://10.0.0.5:3456/remote"}, Weight: 10, CanSeal: true, Primary: true,
		AllowTypes: []string{}, DenyTypes: []string{},
	}
	found := []wire.SectorStorageInfo{entry, entry}
	http.HandleFunc("/rpc/v0", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ID     any
			Method string
			Params []json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		text, _ := json.Marshal(map[string]any{"id": request.ID, "jsonrpc": "2.0", "result": found})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { _ = http.Serve(listener, nil) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
