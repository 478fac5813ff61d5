// SPDX-License-Identifier: Apache-2.0

// The yardstick of the OFREP figure: Go's net/http decoding and encoding the same OFREP bodies,
// evaluating nothing.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
)

type request struct {
	Context map[string]any `json:"context"`
}

type response struct {
	Key      string         `json:"key"`
	Value    any            `json:"value"`
	Variant  string         `json:"variant"`
	Reason   string         `json:"reason"`
	Metadata map[string]any `json:"metadata"`
}

func main() {
	http.HandleFunc("/ofrep/v1/evaluate/flags/", func(w http.ResponseWriter, r *http.Request) {
		var in request
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		key := strings.TrimPrefix(r.URL.Path, "/ofrep/v1/evaluate/flags/")
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(response{
			Key: key, Value: "one-page", Variant: "one-page", Reason: "SPLIT",
			Metadata: map[string]any{"phase": 0},
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, nil))
}
