package render

import "strings"

// cell is how many characters of one untrusted string a page shows.
const cell = 300

// code is [Code], cut to a cell.
func code(s string) string { return Code(clip(s, cell)) }

// text is [Text], cut to a cell.
func text(s string) string { return Text(clip(s, cell)) }

// page builds Markdown within a bound: each table has a share of it, so that no list can push the next one out.
type page struct {
	strings.Builder
	left int
}

// table is rows that are made one by one while there is room for them.
type table struct {
	header []string
	right  int // this many columns at the end are numbers
	rows   int
	row    func(int) []string // escaped cells
	open   int                // rows before the fold
	bytes  int                // the table's share of the page
}

// line writes one paragraph.
func (p *page) line(s string) { p.put(s + "\n\n") }

func (p *page) put(s string) {
	p.WriteString(s)
	p.left -= len(s)
}

// section starts one that has something to say.
func (p *page) section(title string, items int) {
	if items > 0 {
		p.line("## " + title)
	}
}

// fold puts what body writes into a closed part of the page.
func (p *page) fold(summary string, items int, body func()) {
	if items == 0 {
		return
	}
	p.line("<details><summary>" + summary + "</summary>")
	body()
	p.line("</details>")
}

// list is a folded table of something short.
func (p *page) list(title string, header []string, rows int, row func(int) []string) {
	p.fold(title, rows, func() {
		p.table(table{header: header, rows: rows, row: row, open: rows, bytes: 12 << 10})
	})
}

// table writes the rows that fit into its share, folds those after the first ones, and counts the rest.
func (p *page) table(t table) {
	if t.rows == 0 {
		return
	}
	end := p.left - min(t.bytes, p.left)
	shown := p.rows(t, 0, min(t.open, t.rows), end)
	if shown == t.open && shown < t.rows {
		folded := 0
		p.fold(count(int64(t.rows-shown))+" more", t.rows, func() {
			folded = p.rows(t, shown, t.rows, end)
			p.more(t.rows - shown - folded)
		})
		return
	}
	p.more(t.rows - shown)
}

func (p *page) more(n int) {
	if n > 0 {
		p.line("… and " + count(int64(n)) + " more in `report.json`")
	}
}

// rows writes rows from..to as a table until the page is down to end bytes, and returns how many it wrote.
func (p *page) rows(t table, from, to, end int) int {
	p.put("| " + strings.Join(t.header, " | ") + " |\n|")
	for i := range t.header {
		if i >= len(t.header)-t.right {
			p.put(" ---: |")
		} else {
			p.put(" --- |")
		}
	}
	p.put("\n")
	n := 0
	for i := from; i < to; i++ {
		line := "| " + strings.Join(t.row(i), " | ") + " |\n"
		if p.left-len(line) < end {
			break
		}
		p.put(line)
		n++
	}
	p.put("\n")
	return n
}
