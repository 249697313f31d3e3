package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram takes out of this process the pages of its program's file: whatever ran once, as the start did and each
// connection does, would stay for as long as the kernel has memory to spare. What is touched again comes back from the
// system's cache of files, a few hundred pages in two minutes, without the disk.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding the program's file: %w", err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("reading which memory is a file's: %w", err)
	}
	defer maps.Close()
	spans, err := unchangedSpans(maps, program)
	if err != nil {
		return err
	}
	for _, s := range spans {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, s.begin, s.end-s.begin, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving back pages of the program's file: %w", errno)
		}
	}
	return nil
}

// span is memory from an address to another.
type span struct{ begin, end uintptr }

// unchangedSpans finds in a list of memory (proc_pid_smaps(5)) what is read from a file alone: it cannot be written to, and
// no page of it was, which would be lost.
func unchangedSpans(smaps io.Reader, file string) (spans []span, err error) {
	lines := bufio.NewScanner(smaps)
	var candidate *span
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 2:
		case !strings.HasSuffix(fields[0], ":"):
			candidate = nil
			if len(fields) < 6 || len(fields[1]) != 4 || fields[1][0] != 'r' || fields[1][1] != '-' || fields[1][3] != 'p' || strings.Join(fields[5:], " ") != file {
				continue
			}
			begin, end, _ := strings.Cut(fields[0], "-")
			from, broken := strconv.ParseUint(begin, 16, 64)
			to, brokenTo := strconv.ParseUint(end, 16, 64)
			if broken == nil && brokenTo == nil && from < to {
				candidate = &span{uintptr(from), uintptr(to)}
			}
		case fields[0] == "Anonymous:" && fields[1] == "0" && candidate != nil:
			spans = append(spans, *candidate)
			candidate = nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading which memory is a file's: %w", err)
	}
	return spans, nil
}
