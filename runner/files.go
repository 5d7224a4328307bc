package runner

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
)

// maxAgentLog bounds agent.log, in bytes. What an agent prints beyond it is counted, not kept.
const maxAgentLog = 64 << 20

// runFiles are the artifacts that are written as the run goes, and what was read for it.
type runFiles struct {
	log     *os.File
	network *os.File
	agent   *boundedWriter
	// transcript is nil for an agent that prints text.
	transcript *recordFile
	ca         []byte
	env        []string // NAME=VALUE, for the agent
}

func openRunFiles(o *output, cfg Config, format string) (*runFiles, error) {
	f := &runFiles{}
	var err error
	if f.log, err = o.create(fileRunLog); err != nil {
		return nil, err
	}
	if f.network, err = o.create(fileNetwork); err != nil {
		return nil, err
	}
	agent, err := o.create(fileAgent)
	if err != nil {
		return nil, err
	}
	f.agent = &boundedWriter{file: agent, left: maxAgentLog}
	if format != "" {
		file, err := o.create(fileTranscript)
		if err != nil {
			return nil, err
		}
		f.transcript = &recordFile{file: file, left: maxTranscript}
	}
	if cfg.CAFile != "" {
		path, err := thisHost().expand(cfg.CAFile)
		if err == nil {
			f.ca, err = readBounded(path, maxCA)
		}
		if err != nil {
			return nil, &UsageError{Option: "--ca-file", Value: cfg.CAFile, Err: err}
		}
	}
	f.env = agentEnv(cfg.Env)
	return f, nil
}

// agentEnv resolves --env: NAME takes the runner's value, and is left out where the runner has none.
func agentEnv(entries []string) []string {
	list := []string{}
	for _, entry := range entries {
		if strings.Contains(entry, "=") {
			list = append(list, entry)
		} else if value, ok := os.LookupEnv(entry); ok {
			list = append(list, entry+"="+value)
		}
	}
	return list
}

// unsetEnv lists the variables of --env that the runner has no value for.
func unsetEnv(entries []string) []string {
	var names []string
	for _, entry := range entries {
		if strings.Contains(entry, "=") {
			continue
		}
		if _, ok := os.LookupEnv(entry); !ok {
			names = append(names, entry)
		}
	}
	return names
}

func (f *runFiles) close() {
	if f == nil {
		return
	}
	for _, file := range []*os.File{f.log, f.network} {
		if file != nil {
			_ = file.Close()
		}
	}
	if f.agent != nil {
		_ = f.agent.file.Close()
	}
	if f.transcript != nil {
		_ = f.transcript.file.Close()
	}
}

// boundedWriter writes the first bytes to a file and says at the end how many it left out. It never fails: a full disk must not stop the
// agent's output.
type boundedWriter struct {
	mu   sync.Mutex
	file *os.File
	left int64
	lost int64
	err  error
}

var _ io.Writer = (*boundedWriter)(nil)

func (w *boundedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := p[:min(int64(len(p)), w.left)]
	w.left -= int64(len(keep))
	w.lost += int64(len(p) - len(keep))
	if w.err == nil && len(keep) > 0 {
		_, w.err = w.file.Write(keep)
	}
	return len(p), nil
}

// close ends the file, with a line about what is missing.
func (w *boundedWriter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 && w.err == nil {
		var note bytes.Buffer
		note.WriteString("\n[yolo-run: " + Bytes(w.lost).String() + " more were printed and are not kept]\n")
		_, w.err = w.file.Write(note.Bytes())
	}
	return errors.Join(w.err, w.file.Close())
}
