package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// RPCError is what the other side answered.
type RPCError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Meta    json.RawMessage `json:"meta,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *RPCError) Error() string { return e.Message }

// Client calls one program, as go-jsonrpc's HTTP client does: ids from 1, no overall timeout.
type Client struct {
	URL, Token string
	http       *http.Client
	id         atomic.Int64
}

func NewClient(url, token string) *Client {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     90 * time.Second,
	}
	return &Client{URL: url, Token: token, http: &http.Client{Transport: transport}}
}

type answer struct {
	ID      *int64          `json:"id"`
	JSONRPC string          `json:"jsonrpc"`
	Result  json.RawMessage `json:"result"`
	Error   *RPCError       `json:"error"`
}

// Call sends one request; result nil means a method that returns an error only. Members of the result that the struct
// does not have are an error.
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	if params == nil {
		params = []any{}
	}
	id := c.id.Add(1)
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": id, "method": "Filecoin." + method, "params": params,
		"meta": map[string]string{"SpanContext": "AAD//w=="},
	})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("RPC client error: sendRequest failed: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode > 400 && response.StatusCode != 500 {
		return fmt.Errorf("request failed, http status %s", response.Status)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var got answer
	if err := strict(text, &got); err != nil {
		return fmt.Errorf("%s: unmarshaling %.200q: %w", method, text, err)
	}
	if got.ID == nil || *got.ID != id {
		return fmt.Errorf("%s: request and response id didn't match: %.200q", method, text)
	}
	if got.Error != nil {
		return got.Error
	}
	if result == nil {
		if string(got.Result) != "null" {
			return fmt.Errorf("%s: result %.200q where Lotus has null", method, got.Result)
		}
		return nil
	}
	if err := strict(got.Result, result); err != nil {
		return fmt.Errorf("%s: unmarshaling result %.300q: %w", method, got.Result, err)
	}
	return nil
}

// Decode is JSON into a struct; a member that it does not have is an error.
func Decode(text json.RawMessage, into any) error { return strict(text, into) }

func strict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// Method answers one call; params are still JSON.
type Method func(ctx context.Context, params []json.RawMessage) (any, error)

// Server answers JSON-RPC over HTTP. Verify says which permissions a token has; every method wants admin.
type Server struct {
	Methods map[string]Method
	Verify  func(token string) ([]string, error)
}

func (s *Server) allowed(w http.ResponseWriter, r *http.Request) bool {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	perms, err := s.Verify(token)
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	for _, perm := range perms {
		if perm == "admin" {
			return true
		}
	}
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintln(w, `{"Error":"unauthorized: missing admin permission"}`)
	return false
}

// Guard lets only admins through.
func (s *Server) Guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.allowed(w, r) {
			next(w, r)
		}
	}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r) {
		return
	}
	var request struct {
		ID     any
		Method string
		Params []json.RawMessage
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		write(w, nil, nil, &RPCError{Code: -32700, Message: "Parse error"})
		return
	}
	method, ok := s.Methods[strings.TrimPrefix(request.Method, "Filecoin.")]
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		write(w, request.ID, nil, &RPCError{Code: -32601, Message: "method '" + request.Method + "' not found"})
		return
	}
	result, err := method(r.Context(), request.Params)
	if err != nil {
		var known *RPCError
		if !errors.As(err, &known) {
			known = &RPCError{Code: 1, Message: err.Error()}
		}
		write(w, request.ID, nil, known)
		return
	}
	write(w, request.ID, result, nil)
}

func write(w io.Writer, id, result any, failure *RPCError) {
	out := map[string]any{"jsonrpc": "2.0", "id": id}
	if failure != nil {
		out["error"] = failure
	} else {
		out["result"] = result
	}
	_ = json.NewEncoder(w).Encode(out)
}

// Take decodes params into pointers, strictly, with Go's exact count.
func Take(params []json.RawMessage, into ...any) error {
	if len(params) != len(into) {
		return &RPCError{Code: -32602, Message: fmt.Sprintf("wrong param count: %d != %d", len(params), len(into))}
	}
	for i, raw := range params {
		if err := strict(raw, into[i]); err != nil {
			return &RPCError{Code: -32700, Message: fmt.Sprintf("unmarshaling param %d: %v: %.200s", i, err, raw)}
		}
	}
	return nil
}
