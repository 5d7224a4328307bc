package runner

import (
	"errors"
	"fmt"
	"os"

	"github.com/yolo-run/yolo-run/reports"
)

// Bounds of an agent's stream of JSON, in bytes: of transcript.jsonl, and of a line.
const (
	maxTranscript = 256 << 20
	maxRecord     = 16 << 20
)

// recordFile is transcript.jsonl: one object of JSON a line, each in one write as it comes, so that what is there is whole whenever the run
// ends. Like [boundedWriter] it never fails before its end.
type recordFile struct {
	file    *os.File
	left    int64
	lines   int64 // that are not kept
	lost    int64 // bytes of them
	written error
}

// add writes a line, which is valid JSON.
func (f *recordFile) add(line []byte) {
	line, err := reports.InertJSON(line)
	if err != nil || f.written != nil {
		return
	}
	line = append(line, '\n')
	if f.lines > 0 || int64(len(line)) > f.left { // a shorter one must not slip in after one was left out
		f.skip(1, int64(len(line)))
		return
	}
	f.left -= int64(len(line))
	_, f.written = f.file.Write(line)
}

func (f *recordFile) skip(lines, bytes int64) { f.lines, f.lost = f.lines+lines, f.lost+bytes }

// close ends the file, with a line about what is missing.
func (f *recordFile) close() error {
	if f.lines > 0 && f.written == nil {
		_, f.written = fmt.Fprintf(f.file, `{"type":"yolo-run.cut","lines":%d,"bytes":%d}`+"\n", f.lines, f.lost)
	}
	return errors.Join(f.written, f.file.Close())
}
