// The cilium/ebpf loader: answers corematrix's requests with what github.com/cilium/ebpf does. The protocol is in ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf/rlimit"
)

const protocol = 1

// A request of any kind, with the keys of all.
type request struct {
	Request   string            `json:"request"`
	Protocol  int               `json:"protocol"`
	Path      string            `json:"path"`
	KernelBTF string            `json:"kernel_btf"`
	Settings  settings          `json:"settings"`
	Reuse     map[string]string `json:"reuse"`
	Program   string            `json:"program"`
	LogLevel  uint32            `json:"log_level"`
	LogSize   uint32            `json:"log_size"`
}

// An answer of any kind. Programs is a pointer because an object without programs is answered with an empty list.
type answer struct {
	Answer   string    `json:"answer"`
	Loader   string    `json:"loader,omitempty"`
	Version  string    `json:"version,omitempty"`
	Programs *[]string `json:"programs,omitempty"`
	ID       uint32    `json:"id,omitempty"`
	Error    string    `json:"error,omitempty"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Answers requests until they end. An error is never about an object: it is trouble with the requests or with this machine.
func serve(requests io.Reader, answers io.Writer) error {
	// What a Go program does at its start. Where it fails, the kernel refuses maps, and says so.
	if err := rlimit.RemoveMemlock(); err != nil {
		fmt.Fprintln(os.Stderr, "warning: the limit of locked memory stays:", err)
	}
	var opened *object
	defer func() { opened.close() }()
	lines := bufio.NewReader(requests)
	encoder := json.NewEncoder(answers)
	encoder.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		var given answer
		switch asked.Request {
		case "open":
			if asked.Protocol != protocol {
				return fmt.Errorf("protocol %d is asked for, this loader knows %d", asked.Protocol, protocol)
			}
			opened.close()
			opened, given = open(asked)
			given.Loader, given.Version = "cilium/ebpf", version()
		case "load":
			if opened == nil {
				return fmt.Errorf("load of %q: no object is open", asked.Program)
			}
			if given, err = opened.load(asked); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown request %q", asked.Request)
		}
		if err := encoder.Encode(given); err != nil {
			return err
		}
	}
}
