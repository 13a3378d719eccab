package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"
)

// The longest text of an error: more than any sentence of the library, less than a type that it prints with all members.
const longest = 2000

// The library's names for a field of the struct and for the file, which are not the user's.
var ownField = regexp.MustCompile(`^(?:assign values: )?field (?:Program|Array[0-9]+): |^file /corematrix/[^:]*: `)

// Calls the library. A panic in it is its answer, too: a program of the user's would end by it.
func guarded(call func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return call()
}

// The answer for an error of the library.
func failed(err error) answer {
	return answer{Answer: "failed", Error: text(err)}
}

// The error's text in one line, without the verifier's log and without names of this loader's own.
func text(err error) string {
	text := err.Error()
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) && refused.Cause != nil {
		// The library words a refusal as its cause and then the log's last lines.
		whole, cause := refused.Error(), refused.Cause.Error()
		if start := strings.Index(whole, cause); start >= 0 {
			text = strings.Replace(text, whole, whole[:start+len(cause)], 1)
		}
	}
	text = strings.Join(strings.Fields(ownField.ReplaceAllString(text, "")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
