package usage

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kept is what macOS keeps of a process's name (MAXCOMLEN).
const kept = 16

func fold(name string) string { return strings.ToLower(name) }

// programs visits all that run.
func programs(visit func(program)) error {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	const zombie = 5 // SZOMB
	for _, p := range all {
		if p.Proc.P_stat != zombie {
			visit(process{int(p.Proc.P_pid), p.Eproc.Ucred.Uid, unix.ByteSliceToString(p.Proc.P_comm[:])})
		}
	}
	return nil
}

type process struct {
	id   int
	uid  uint32
	name string
}

func (p process) account() string { return strconv.FormatUint(uint64(p.uid), 10) }

func (p process) is(w wanted, found func(string)) {
	w.short(p.name, func(whole string) bool { return fold(base(p.path())) == whole }, found)
}

// path is the file that runs; empty: it is another's and we are not root, or it has ended.
func (p process) path() string {
	arguments, err := unix.SysctlRaw("kern.procargs2", p.id)
	if err != nil {
		return ""
	}
	return pathIn(arguments)
}

// file is the bundle's property list, where the program is one of a bundle.
func (p process) file() (path, mark string) {
	path = listOf(p.path())
	info, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	return path, info.ModTime().String()
}

func versionOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	return bundleVersion(f)
}
