package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Archives are what pg_dump writes in its custom format. pg_restore knows that
// format, and turns the rows into text. Of a file only rows are taken, never
// statements: whoever could change a backup could have them run as the owner of
// the database.

// archiveMagic begins every archive.
const archiveMagic = "PGDMP"

// tableRows are those of one table of an archive, as COPY reads them: a line a
// row, with the columns' values between tabs.
type tableRows struct {
	table   string
	columns []string
	rows    int64 // read so far

	from *bufio.Reader
	mid  bool // the last piece did not end its line
	end  bool
}

// Read implements io.Reader, up to the line that ends the rows.
func (t *tableRows) Read(p []byte) (int, error) {
	if t.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	next, err := t.from.Peek(1)
	if err == nil && !t.mid && next[0] == '\\' {
		if next, err = t.from.Peek(3); err == nil && string(next) == "\\.\n" {
			t.end = true
			_, _ = t.from.Discard(3) // just peeked at
			return 0, io.EOF
		}
	}
	if err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	// No further than the line's end, behind which the rows may end.
	next, _ = t.from.Peek(min(len(p), max(1, t.from.Buffered())))
	if end := bytes.IndexByte(next, '\n'); end >= 0 {
		next = next[:end+1]
		t.rows++
	}
	t.mid = next[len(next)-1] != '\n'
	n := copy(p, next)
	_, err = t.from.Discard(n)
	return n, err
}

// each calls with the values of each row, by column.
func (t *tableRows) each(call func(map[string]string) error) error {
	lines := bufio.NewReader(t)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		values := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(values) != len(t.columns) {
			return fmt.Errorf("%w: a row of %s has %d values for %d columns", ErrDamaged, t.table, len(values), len(t.columns))
		}
		row := make(map[string]string, len(values))
		for i, column := range t.columns {
			row[column] = values[i]
		}
		if err := call(row); err != nil {
			return err
		}
	}
}

// copyLine begins the rows of a table. Names that need quotes are none of ours.
var copyLine = regexp.MustCompile(`^COPY (?:"(?:[^"]|"")+"|[a-z_0-9]+)\.([a-z_0-9]+) \(([a-z_0-9, "]+)\) FROM stdin;$`)

// readArchive calls each with the rows of each table.
func readArchive(ctx context.Context, path string, each func(*tableRows) error) error {
	if err := looksLikeArchive(path); err != nil {
		return err
	}
	t, err := findTool(ctx, "pg_restore", toolPlaces())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := t.command(ctx, nil, "--data-only", "--file=-", "--", path)
	var complained complaint
	c.Stderr = &complained
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", t.path, err)
	}
	failed := splitTables(out, each)
	if failed != nil {
		stop() // nobody reads on
	}
	ended := c.Wait()
	said := complained.said()
	switch {
	case strings.Contains(said, "unsupported version"):
		return &ToolError{Name: t.name, Path: t.path, Has: t.version, needsOfWhat: "the pg_dump that wrote the backup"}
	case failed != nil && !errors.Is(failed, io.ErrUnexpectedEOF):
		return failed
	case ended != nil:
		return fmt.Errorf("%s: %w: %s", path, ErrDamaged, said)
	case failed != nil:
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, failed)
	}
	return nil
}

func looksLikeArchive(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	begin := make([]byte, len(archiveMagic))
	n, err := io.ReadFull(f, begin)
	switch {
	case n > 0 && strings.HasPrefix(archiveMagic, string(begin[:n])) && err != nil:
		return fmt.Errorf("%s: %w: it is cut off", path, ErrDamaged)
	case string(begin) != archiveMagic:
		return fmt.Errorf("%s: %w: pg_dump has not written it", path, ErrNoDatabase)
	}
	return nil
}

// splitTables finds the rows in what pg_restore writes.
func splitTables(from io.Reader, each func(*tableRows) error) error {
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		found := copyLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if found == nil {
			continue
		}
		t := &tableRows{table: found[1], from: r}
		for _, column := range strings.Split(found[2], ", ") {
			t.columns = append(t.columns, strings.Trim(column, `"`))
		}
		if err := each(t); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, t); err != nil { // what nobody read
			return err
		}
	}
}

// InspectDump reads a whole file that Dump wrote. Errors wrap ErrNoDatabase,
// ErrDamaged or ErrSchema, or are a ToolError.
func InspectDump(ctx context.Context, path string) (c Content, err error) {
	if c.Size, c.SHA256, err = digest(path); err != nil {
		return c, err
	}
	c.rows = make(map[string]int64)
	err = readArchive(ctx, path, func(t *tableRows) error {
		if err := c.read(t); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, t); err != nil {
			return err
		}
		c.rows[t.table] = t.rows
		return nil
	})
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if err != nil {
		return c, err
	}
	if c.rows["allocation"] != 1 || c.Schema == 0 {
		return c, fmt.Errorf("%s: %w", path, ErrNoDatabase)
	}
	return c, nil
}

// read takes out of a table what it says of the whole. It asks only for what
// every version of the schema has.
func (c *Content) read(t *tableRows) error {
	number := func(row map[string]string, column string, to *int64) error {
		n, err := strconv.ParseInt(row[column], 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %s of %s is %q", ErrDamaged, column, t.table, row[column])
		}
		*to = n
		return nil
	}
	switch t.table {
	case "allocation":
		return t.each(func(row map[string]string) error {
			c.Epoch, c.Instance = row["epoch"], row["instance"]
			return errors.Join(number(row, "revision", &c.Revision), number(row, "horizon", &c.Horizon))
		})
	case "goose_db_version":
		return t.each(func(row map[string]string) error {
			var version int64
			err := number(row, "version_id", &version)
			if row["is_applied"] == "t" {
				c.Schema = max(c.Schema, version)
			}
			return err
		})
	case "audit", "audit_record":
		return t.each(func(row map[string]string) error {
			var last int64
			err := number(row, "at", &last)
			if last := at(last); last.After(c.Last) {
				c.Last = last
			}
			return err
		})
	}
	return nil
}

// sameRows says of which table there are not as many rows as there should be;
// empty: of none.
func sameRows(want, got map[string]int64) string {
	var wrong []string
	for table, n := range want {
		if has, ok := got[table]; !ok || has != n {
			wrong = append(wrong, fmt.Sprintf("%s has %d rows instead of %d", table, has, n))
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, ", ")
}
